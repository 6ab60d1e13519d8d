"""Notes which pepper a key's digest was made with, by a name that tells nothing about it."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column of keys; empty where it is not known."""

    dependencies = [
        ("apikeys", "0010_clients_without_a_key"),
    ]

    operations = [
        migrations.AddField(
            model_name="key",
            name="pepper_id",
            field=models.CharField(blank=True, default="", editable=False, max_length=8),
        ),
    ]
