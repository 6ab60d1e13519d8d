"""The rest of a key's fields, limits, and the audit trail."""

from __future__ import annotations

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apikeys.lists


class Migration(migrations.Migration):
    dependencies = [
        ("apikeys", "0002_scopes_and_models"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("number", models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ("when", models.DateTimeField(db_index=True)),
                ("actor", models.CharField(max_length=200, verbose_name="who")),
                ("address", models.CharField(blank=True, max_length=45, verbose_name="from")),
                ("action", models.CharField(db_index=True, max_length=20, verbose_name="what")),
                ("key_id", models.CharField(blank=True, db_index=True, max_length=32, verbose_name="key")),
                ("changes", models.TextField(blank=True, default="{}")),
                ("seal", models.CharField(max_length=64)),
                ("secret_id", models.CharField(max_length=8)),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit entries",
                "ordering": ("-number",),
                "default_permissions": ("view",),
            },
        ),
        migrations.AddField(
            model_name="key",
            name="addresses",
            field=models.TextField(
                blank=True,
                default="",
                help_text="The addresses and networks that it works from, as 192.0.2.7, 2001:db8::/32. Empty: all.",
                validators=[apikeys.lists.networks],
            ),
        ),
        migrations.AddField(
            model_name="key",
            name="body_limit",
            field=models.PositiveBigIntegerField(
                blank=True,
                help_text="The largest request body, in bytes, below the one for all. Empty: that one.",
                null=True,
                validators=[django.core.validators.MinValueValidator(1)],
            ),
        ),
        migrations.AddField(
            model_name="key",
            name="enabled",
            field=models.BooleanField(default=True, help_text="A disabled key is refused until it is enabled again."),
        ),
        migrations.AddField(
            model_name="key",
            name="legacy",
            field=models.BooleanField(
                default=False, editable=False, help_text="Its first secret came from the predecessor."
            ),
        ),
        migrations.AddField(
            model_name="key",
            name="note",
            field=models.TextField(blank=True, default="", help_text="For operators; nobody else sees it."),
        ),
        migrations.AddField(
            model_name="key",
            name="old_digest",
            field=models.CharField(blank=True, default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="key",
            name="old_until",
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name="old secret until"),
        ),
        migrations.AddField(
            model_name="key",
            name="owner",
            field=models.ForeignKey(
                blank=True,
                help_text="The person who answers for it.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="api_keys",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="key",
            name="routes",
            field=models.TextField(
                blank=True,
                default="",
                help_text="The dialects (gateway, ollama, openai, anthropic) or paths that it may use. Empty: all.",
                validators=[apikeys.lists.known_routes],
            ),
        ),
        migrations.AddField(
            model_name="key",
            name="secret_number",
            field=models.PositiveIntegerField(default=1, editable=False),
        ),
        migrations.AddField(
            model_name="key",
            name="team",
            field=models.CharField(
                blank=True,
                db_index=True,
                default="",
                help_text="A name that keys share, for example research.",
                max_length=100,
            ),
        ),
        migrations.AddField(
            model_name="keyrevision",
            name="seal",
            field=models.CharField(blank=True, default="", max_length=64),
        ),
        migrations.CreateModel(
            name="Allowance",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.CharField(choices=[("key", "Key"), ("owner", "Owner"), ("team", "Team")], max_length=10),
                ),
                ("subject", models.CharField(max_length=150)),
                (
                    "dimension",
                    models.CharField(
                        choices=[
                            ("requests_per_minute", "Requests Per Minute"),
                            ("tokens_per_minute", "Tokens Per Minute"),
                            ("concurrency", "Concurrency"),
                            ("tokens_per_day", "Tokens Per Day"),
                            ("tokens_per_month", "Tokens Per Month"),
                        ],
                        max_length=30,
                    ),
                ),
                ("amount", models.PositiveBigIntegerField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "subject", "dimension"), name="one_allowance_each")
                ],
            },
        ),
    ]
