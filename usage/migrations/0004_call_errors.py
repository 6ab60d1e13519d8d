"""What went wrong with a call and who called, in its record; and how many calls were refused."""

from __future__ import annotations

from django.db import migrations, models

TEXTS = {
    "error": models.CharField(
        blank=True, default="", db_default="", help_text="The code of what went wrong.", max_length=40
    ),
    "reason": models.CharField(
        blank=True,
        default="",
        db_default="",
        help_text="What went wrong; quotes no prompt and no answer.",
        max_length=300,
    ),
    "user_agent": models.CharField(
        blank=True,
        default="",
        db_default="",
        help_text="The User-Agent's product.",
        max_length=72,
        verbose_name="client library",
    ),
}


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0003_cached_tokens"),
    ]

    operations = [
        migrations.CreateModel(
            name="RefusedDay",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("key", models.CharField(blank=True, max_length=32)),
                ("status", models.PositiveSmallIntegerField()),
                ("error", models.CharField(max_length=40)),
                ("seen", models.PositiveBigIntegerField(default=0, help_text="All such calls.")),
                ("kept", models.PositiveBigIntegerField(default=0, help_text="Those that have a record.")),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.AddConstraint(
            model_name="refusedday",
            constraint=models.UniqueConstraint(fields=("day", "key", "status", "error"), name="one_refusedday_each"),
        ),
        # Django would copy the table, which has millions of rows, once for each of them on SQLite.
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    f"ALTER TABLE usage_usagerecord ADD COLUMN {name} varchar({field.max_length}) DEFAULT '' NOT NULL",
                    f"ALTER TABLE usage_usagerecord DROP COLUMN {name}",
                )
                for name, field in TEXTS.items()
            ],
            state_operations=[
                migrations.AddField(model_name="usagerecord", name=name, field=field) for name, field in TEXTS.items()
            ],
        ),
        migrations.AlterField(
            model_name="usagerecord",
            name="call",
            field=models.CharField(
                help_text="The call's id in the journal; empty if it was refused before it was admitted.",
                max_length=64,
            ),
        ),
        migrations.AddIndex(
            model_name="usagerecord",
            index=models.Index(fields=["status", "at"], name="record_status_at"),
        ),
        migrations.AddIndex(
            model_name="usagerecord",
            index=models.Index(fields=["request_id"], name="record_request_id"),
        ),
    ]
