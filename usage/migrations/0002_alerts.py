"""The alerts for budgets."""

from __future__ import annotations

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0001_records"),
    ]

    operations = [
        migrations.CreateModel(
            name="BudgetAlert",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("subject", models.CharField(max_length=160)),
                ("dimension", models.CharField(max_length=30)),
                ("period", models.CharField(blank=True, max_length=10)),
                ("level", models.PositiveSmallIntegerField()),
                ("spent", models.PositiveBigIntegerField()),
                ("amount", models.PositiveBigIntegerField()),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                ("due", models.DateTimeField(db_index=True, null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                "default_permissions": ("view",),
                "constraints": [
                    models.UniqueConstraint(fields=("subject", "dimension", "period", "level"), name="one_alert_each")
                ],
            },
        ),
    ]
