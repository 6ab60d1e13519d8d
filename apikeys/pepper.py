"""Whether the peppers known here are those that the keys in the database were stored with."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from django.conf import settings

from apikeys.chain import id_of, secret_of
from apikeys.models import AuditEntry, Key

LOST_PEPPER = (
    "KEY_PEPPER is not the one that the keys were issued with, so none of them verifies: put the old one back, or name "
    "it in KEY_PEPPER_FALLBACKS"
)
OTHER, TRAIL = "other", "trail:"
SECRET_ACTIONS = ("issued", "imported", "rotated")


class PepperCounts(NamedTuple):
    """How many usable keys were stored with the present pepper, with each fallback, and with one not known here."""

    present: int
    fallbacks: tuple[int, ...]
    unknown: int


def pepper_is_lost() -> bool:
    """Tells whether neither the pepper nor its fallbacks sealed the audit trail's last entry; queries the database."""
    latest = AuditEntry.objects.values_list("secret_id", flat=True).first()
    return latest is not None and latest not in known_peppers()


def known_peppers() -> list[str]:
    """Returns the names of the present pepper and of its fallbacks, in order."""
    return [id_of(secret_of(pepper)) for pepper in (settings.KEY_PEPPER, *settings.KEY_PEPPER_FALLBACKS)]


def pepper_counts() -> PepperCounts:
    """Counts usable keys by the pepper that they were stored with; queries the database.

    Of a key from before this was noted, the audit trail tells with which pepper it was issued or last rotated.
    """
    peppers = dict(Key.objects.usable().values_list("key_id", "pepper_id"))
    if not all(peppers.values()):
        entries = AuditEntry.objects.filter(action__in=SECRET_ACTIONS).order_by("number")
        for key_id, secret_id in entries.values_list("key_id", "secret_id").iterator():
            if peppers.get(key_id, OTHER) == "" or peppers.get(key_id, OTHER).startswith(TRAIL):
                peppers[key_id] = TRAIL + secret_id  # the last entry counts
    counts = Counter(name.removeprefix(TRAIL) for name in peppers.values())
    present, *fallbacks = known_peppers()
    # A key of which nothing is noted and nothing stands in the trail is older than both: it is taken for a present one.
    known = {present, "", *fallbacks}
    return PepperCounts(
        counts[present] + counts[""],
        tuple(counts[name] if name != present else 0 for name in fallbacks),
        sum(count for name, count in counts.items() if name not in known),
    )
