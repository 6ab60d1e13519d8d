"""Adds permissions for what goes beyond a user's own, and three groups to put users into."""

from __future__ import annotations

from typing import Any

from django.apps.registry import Apps
from django.contrib.auth.management import create_permissions
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

APPS = ("apikeys", "auth", "usage")
VIEWS = (
    "apikeys.view_key",
    "apikeys.view_allowance",
    "apikeys.view_auditentry",
    "apikeys.view_attemptcount",
    "auth.view_user",
    "auth.view_group",
    "usage.view_usageday",
    "usage.view_usagerecord",
)
# Whoever may change keys could do all this before these permissions were there.
NEW_FOR_CHANGERS = ("apikeys.set_limits", "apikeys.assign_owner", "apikeys.assign_team")
GROUPS = {
    "Key issuer": (
        "apikeys.view_key",
        "apikeys.add_key",
        "apikeys.change_key",
        *NEW_FOR_CHANGERS,
        "auth.view_user",
        "usage.view_usageday",
    ),
    "Operator": (
        *VIEWS,
        "apikeys.add_key",
        "apikeys.change_key",
        *NEW_FOR_CHANGERS,
        "apikeys.grant_scopes",
        "apikeys.change_allowance",
        "auth.add_user",
        "auth.change_user",
    ),
    "Auditor": VIEWS,
}


def make_groups(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Makes the groups that are not there, and gives those who may change keys what they could do before."""
    using = schema_editor.connection.alias
    for label in APPS:
        # Permissions are otherwise made after the last migration only.
        config = apps.get_app_config(label)
        config.models_module = True  # type: ignore[assignment] # a migration's app has none, and is passed over then
        create_permissions(config, apps=apps, using=using, verbosity=0)
        config.models_module = None
    group = apps.get_model("auth", "Group")
    changers = apps.get_model("auth", "User").objects.using(using)
    changing = {"codename": "change_key", "content_type__app_label": "apikeys"}
    may = permissions(apps, using, NEW_FOR_CHANGERS)
    for user in changers.filter(**{f"user_permissions__{name}": value for name, value in changing.items()}):
        user.user_permissions.add(*may)
    for each in group.objects.using(using).filter(
        **{f"permissions__{name}": value for name, value in changing.items()}
    ):
        each.permissions.add(*may)
    for name, names in GROUPS.items():
        made, created = group.objects.using(using).get_or_create(name=name)
        if created:
            made.permissions.set(permissions(apps, using, names))


def permissions(apps: Apps, using: str, names: tuple[str, ...]) -> list[Any]:
    """Returns permissions by their names, as `apikeys.add_key`."""
    found = apps.get_model("auth", "Permission").objects.using(using).select_related("content_type")
    by_name = {f"{each.content_type.app_label}.{each.codename}": each for each in found}
    return [by_name[name] for name in names]


class Migration(migrations.Migration):
    """Permissions of keys, and groups."""

    dependencies = [
        ("apikeys", "0007_team_names"),
        ("usage", "0002_alerts"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="key",
            options={
                "default_permissions": ("add", "change", "view"),
                "ordering": ("-pk",),
                "permissions": (
                    ("grant_scopes", "Can grant keys scopes beyond inference, and change keys that have them"),
                    ("set_limits", "Can set limits of keys beyond one's own"),
                    ("assign_owner", "Can issue keys to other users, and change their keys"),
                    ("assign_team", "Can issue and change keys of any team"),
                ),
                "verbose_name": "API key",
            },
        ),
        migrations.RunPython(make_groups, migrations.RunPython.noop),
    ]
