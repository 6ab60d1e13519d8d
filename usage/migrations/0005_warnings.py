"""What the client of a call was warned of."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0004_call_errors"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="warning",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="What its client was warned of: context_length for a prompt larger than the context window.",
                max_length=20,
            ),
        ),
    ]
