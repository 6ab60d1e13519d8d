"""Whether the pepper is the one that the keys in the database were stored with."""

from __future__ import annotations

from django.conf import settings

from apikeys.chain import id_of, secret_of
from apikeys.models import AuditEntry

LOST_PEPPER = (
    "KEY_PEPPER is not the one that the keys were issued with, so none of them verifies: put the old one back, or name "
    "it in KEY_PEPPER_FALLBACKS"
)


def pepper_is_lost() -> bool:
    """Tells whether neither the pepper nor its fallbacks sealed the audit trail's last entry; queries the database."""
    latest = AuditEntry.objects.values_list("secret_id", flat=True).first()
    peppers = (settings.KEY_PEPPER, *settings.KEY_PEPPER_FALLBACKS)
    return latest is not None and latest not in {id_of(secret_of(pepper)) for pepper in peppers}
