"""What a key is good for, and with which models."""

from __future__ import annotations

from django.db import migrations, models

import apikeys.lists


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0001_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="key",
            name="models",
            field=models.TextField(
                blank=True,
                default="",
                help_text="The models that it may use, for example mistral, llama3*, me/*. Empty: all.",
                validators=[apikeys.lists.model_patterns],
            ),
        ),
        migrations.AddField(
            model_name="key",
            name="scopes",
            field=models.CharField(
                default="inference",
                help_text="What the key is good for, separated by commas.",
                max_length=100,
                validators=[apikeys.lists.known_scopes],
            ),
        ),
    ]
