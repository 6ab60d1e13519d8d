"""Prompt tokens that Ollama took from its cache, of each call and in the sums."""

from __future__ import annotations

from django.db import migrations, models

SUMS = ("usagehour", "usageday", "usagemonth")


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0002_alerts"),
    ]

    operations = [
        migrations.AddField(
            model_name="usagerecord",
            name="cached_tokens",
            field=models.PositiveBigIntegerField(
                help_text="Prompt tokens that Ollama took from its cache; they are among the prompt tokens.", null=True
            ),
        ),
        *(
            migrations.AddField(model_name=name, name="cached_tokens", field=models.PositiveBigIntegerField(default=0))
            for name in SUMS
        ),
    ]
