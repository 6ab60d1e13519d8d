"""Rules for context windows, of each key."""

from __future__ import annotations

from django.db import migrations, models

import apikeys.lists


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0008_groups"),
    ]

    operations = [
        migrations.AddField(
            model_name="key",
            name="context_window",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                help_text="Context windows by model, for example *=8192 or qwen3:*=16384..32768 (the default and the "
                "most) or llama3=32768! (forced). Empty: as in the settings.",
                validators=[apikeys.lists.window_rules],
            ),
        ),
    ]
