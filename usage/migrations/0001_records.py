"""The records of calls, their sums, and how far the journal is applied."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="AppliedSegment",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("segment", models.CharField(max_length=100, unique=True)),
                ("offset", models.PositiveBigIntegerField(default=0)),
                ("settled", models.BooleanField(default=False)),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="UsageDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(blank=True, max_length=32)),
                ("owner", models.PositiveBigIntegerField(default=0)),
                ("team", models.CharField(blank=True, max_length=100)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("route", models.CharField(blank=True, max_length=100)),
                ("requests", models.PositiveBigIntegerField(default=0)),
                ("refused", models.PositiveBigIntegerField(default=0)),
                ("failed", models.PositiveBigIntegerField(default=0)),
                ("left", models.PositiveBigIntegerField(default=0)),
                ("cut", models.PositiveBigIntegerField(default=0)),
                ("lost", models.PositiveBigIntegerField(default=0)),
                ("prompt_tokens", models.PositiveBigIntegerField(default=0)),
                ("completion_tokens", models.PositiveBigIntegerField(default=0)),
                ("estimated_tokens", models.PositiveBigIntegerField(default=0)),
                ("gpu_nanoseconds", models.PositiveBigIntegerField(default=0)),
                ("first_byte_microseconds", models.PositiveBigIntegerField(default=0)),
                ("total_microseconds", models.PositiveBigIntegerField(default=0)),
                ("first_byte_0", models.PositiveBigIntegerField(default=0)),
                ("first_byte_1", models.PositiveBigIntegerField(default=0)),
                ("first_byte_2", models.PositiveBigIntegerField(default=0)),
                ("first_byte_3", models.PositiveBigIntegerField(default=0)),
                ("first_byte_4", models.PositiveBigIntegerField(default=0)),
                ("first_byte_5", models.PositiveBigIntegerField(default=0)),
                ("first_byte_6", models.PositiveBigIntegerField(default=0)),
                ("total_0", models.PositiveBigIntegerField(default=0)),
                ("total_1", models.PositiveBigIntegerField(default=0)),
                ("total_2", models.PositiveBigIntegerField(default=0)),
                ("total_3", models.PositiveBigIntegerField(default=0)),
                ("total_4", models.PositiveBigIntegerField(default=0)),
                ("total_5", models.PositiveBigIntegerField(default=0)),
                ("total_6", models.PositiveBigIntegerField(default=0)),
                ("total_7", models.PositiveBigIntegerField(default=0)),
                ("start", models.DateField()),
            ],
            options={
                "verbose_name": "usage",
                "verbose_name_plural": "usage",
                "abstract": False,
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["key", "start"], name="usageday_key_start")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("start", "key", "model", "owner", "team", "route"), name="one_usageday_each"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageHour",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(blank=True, max_length=32)),
                ("owner", models.PositiveBigIntegerField(default=0)),
                ("team", models.CharField(blank=True, max_length=100)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("route", models.CharField(blank=True, max_length=100)),
                ("requests", models.PositiveBigIntegerField(default=0)),
                ("refused", models.PositiveBigIntegerField(default=0)),
                ("failed", models.PositiveBigIntegerField(default=0)),
                ("left", models.PositiveBigIntegerField(default=0)),
                ("cut", models.PositiveBigIntegerField(default=0)),
                ("lost", models.PositiveBigIntegerField(default=0)),
                ("prompt_tokens", models.PositiveBigIntegerField(default=0)),
                ("completion_tokens", models.PositiveBigIntegerField(default=0)),
                ("estimated_tokens", models.PositiveBigIntegerField(default=0)),
                ("gpu_nanoseconds", models.PositiveBigIntegerField(default=0)),
                ("first_byte_microseconds", models.PositiveBigIntegerField(default=0)),
                ("total_microseconds", models.PositiveBigIntegerField(default=0)),
                ("first_byte_0", models.PositiveBigIntegerField(default=0)),
                ("first_byte_1", models.PositiveBigIntegerField(default=0)),
                ("first_byte_2", models.PositiveBigIntegerField(default=0)),
                ("first_byte_3", models.PositiveBigIntegerField(default=0)),
                ("first_byte_4", models.PositiveBigIntegerField(default=0)),
                ("first_byte_5", models.PositiveBigIntegerField(default=0)),
                ("first_byte_6", models.PositiveBigIntegerField(default=0)),
                ("total_0", models.PositiveBigIntegerField(default=0)),
                ("total_1", models.PositiveBigIntegerField(default=0)),
                ("total_2", models.PositiveBigIntegerField(default=0)),
                ("total_3", models.PositiveBigIntegerField(default=0)),
                ("total_4", models.PositiveBigIntegerField(default=0)),
                ("total_5", models.PositiveBigIntegerField(default=0)),
                ("total_6", models.PositiveBigIntegerField(default=0)),
                ("total_7", models.PositiveBigIntegerField(default=0)),
                ("start", models.DateTimeField()),
            ],
            options={
                "abstract": False,
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["key", "start"], name="usagehour_key_start")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("start", "key", "model", "owner", "team", "route"), name="one_usagehour_each"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageMonth",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.CharField(blank=True, max_length=32)),
                ("owner", models.PositiveBigIntegerField(default=0)),
                ("team", models.CharField(blank=True, max_length=100)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("route", models.CharField(blank=True, max_length=100)),
                ("requests", models.PositiveBigIntegerField(default=0)),
                ("refused", models.PositiveBigIntegerField(default=0)),
                ("failed", models.PositiveBigIntegerField(default=0)),
                ("left", models.PositiveBigIntegerField(default=0)),
                ("cut", models.PositiveBigIntegerField(default=0)),
                ("lost", models.PositiveBigIntegerField(default=0)),
                ("prompt_tokens", models.PositiveBigIntegerField(default=0)),
                ("completion_tokens", models.PositiveBigIntegerField(default=0)),
                ("estimated_tokens", models.PositiveBigIntegerField(default=0)),
                ("gpu_nanoseconds", models.PositiveBigIntegerField(default=0)),
                ("first_byte_microseconds", models.PositiveBigIntegerField(default=0)),
                ("total_microseconds", models.PositiveBigIntegerField(default=0)),
                ("first_byte_0", models.PositiveBigIntegerField(default=0)),
                ("first_byte_1", models.PositiveBigIntegerField(default=0)),
                ("first_byte_2", models.PositiveBigIntegerField(default=0)),
                ("first_byte_3", models.PositiveBigIntegerField(default=0)),
                ("first_byte_4", models.PositiveBigIntegerField(default=0)),
                ("first_byte_5", models.PositiveBigIntegerField(default=0)),
                ("first_byte_6", models.PositiveBigIntegerField(default=0)),
                ("total_0", models.PositiveBigIntegerField(default=0)),
                ("total_1", models.PositiveBigIntegerField(default=0)),
                ("total_2", models.PositiveBigIntegerField(default=0)),
                ("total_3", models.PositiveBigIntegerField(default=0)),
                ("total_4", models.PositiveBigIntegerField(default=0)),
                ("total_5", models.PositiveBigIntegerField(default=0)),
                ("total_6", models.PositiveBigIntegerField(default=0)),
                ("total_7", models.PositiveBigIntegerField(default=0)),
                ("start", models.DateField()),
            ],
            options={
                "abstract": False,
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["key", "start"], name="usagemonth_key_start")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("start", "key", "model", "owner", "team", "route"), name="one_usagemonth_each"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="UsageRecord",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("call", models.CharField(help_text="The call's id in the journal.", max_length=64)),
                ("at", models.DateTimeField(help_text="When it ended (UTC).")),
                ("key", models.CharField(help_text="The id of the key.", max_length=32)),
                ("owner", models.PositiveBigIntegerField(null=True)),
                ("team", models.CharField(blank=True, max_length=100)),
                ("model", models.CharField(blank=True, max_length=200)),
                ("route", models.CharField(max_length=100)),
                ("dialect", models.CharField(max_length=20)),
                ("request_id", models.CharField(blank=True, max_length=64)),
                ("status", models.PositiveSmallIntegerField()),
                ("ended", models.CharField(max_length=20)),
                ("prompt_tokens", models.PositiveBigIntegerField()),
                ("completion_tokens", models.PositiveBigIntegerField()),
                (
                    "estimated",
                    models.BooleanField(help_text="The tokens are an estimate: Ollama did not come to count them."),
                ),
                ("load_duration", models.PositiveBigIntegerField(null=True)),
                ("prompt_eval_duration", models.PositiveBigIntegerField(null=True)),
                ("eval_duration", models.PositiveBigIntegerField(null=True)),
                ("wait", models.FloatField()),
                ("first_byte", models.FloatField(null=True)),
                ("total", models.FloatField()),
                ("streamed", models.BooleanField()),
                ("upstream", models.CharField(blank=True, max_length=64)),
                ("client", models.CharField(blank=True, max_length=64)),
            ],
            options={
                "verbose_name": "call",
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["at"], name="record_at"),
                    models.Index(fields=["key", "at"], name="record_key_at"),
                ],
            },
        ),
    ]
