"""The keys, and the one row that numbers their changes."""

from __future__ import annotations

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import apikeys.models


def make_the_row(apps, _schema_editor):
    apps.get_model("apikeys", "KeyRevision").objects.create(pk=1)


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="KeyRevision",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("latest", models.PositiveBigIntegerField(default=0)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Key",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "key_id",
                    models.CharField(
                        editable=False,
                        help_text="The public part of the key, between its underscores.",
                        max_length=32,
                        unique=True,
                        verbose_name="id",
                    ),
                ),
                (
                    "label",
                    models.CharField(
                        error_messages={"blank": "A key needs a label: say who or what will use it."},
                        help_text="Who or what uses this key, for example “Ana's laptop”.",
                        max_length=100,
                        validators=[apikeys.models.one_printable_line],
                    ),
                ),
                ("digest", models.CharField(editable=False, max_length=64)),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("last_used", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "expires",
                    models.DateTimeField(
                        blank=True, help_text="Refused from this moment on (UTC). Empty: never.", null=True
                    ),
                ),
                ("revoked_at", models.DateTimeField(blank=True, editable=False, null=True, verbose_name="revoked")),
                ("revision", models.PositiveBigIntegerField(db_index=True, default=0, editable=False)),
                (
                    "created_by",
                    models.ForeignKey(
                        blank=True,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "API key",
                "ordering": ("-pk",),
                "default_permissions": ("add", "change", "view"),
            },
        ),
        migrations.RunPython(make_the_row, migrations.RunPython.noop),
    ]
