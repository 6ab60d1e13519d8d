"""Sets of keys, and what can be done to many at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from apikeys.chain import id_of, secret_of
from apikeys.models import changes
from apikeys.models.allowance import Allowance
from apikeys.models.revision import KeyRevision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from apikeys.models.key import Key

# SQLite takes a bounded number of values a statement.
KEYS_A_STATEMENT = 400


class KeyIsKept(Exception):
    """A key was to be deleted; keys are revoked and kept, so that the account of their use stays whole."""


class RevocationIsFinal(Exception):
    """A revoked key was to be changed or brought back; issue a new one instead."""


def present_pepper() -> str:
    """Returns a short name of the pepper that digests are made with now, which says nothing about it."""
    return id_of(secret_of(settings.KEY_PEPPER))


class KeyQuerySet(models.QuerySet["Key"]):
    """Sets of keys, by what people want to know of them; every change made through them is numbered and audited."""

    def issue(self, *, label: str, limits: Mapping[str, int | None] | None = None, **fields: Any) -> tuple[Key, str]:
        """Makes and stores a key with these fields; returns it with its secret, which is kept nowhere.

        Raises ValidationError when the label is no printable line of up to 100 characters, `expires` has passed, or
        another field is not what it must be.
        """
        key = self.model(label=label.strip(), **fields)
        key.new_limits = limits
        secret = key.give_secret()
        key.full_clean()
        key.save(force_insert=True)
        return key, secret

    def not_revoked(self) -> KeyQuerySet:
        """Leaves out the revoked keys."""
        return self.filter(revoked_at=None)

    def usable(self) -> KeyQuerySet:
        """Leaves out the revoked, the disabled and the expired keys."""
        return self.not_revoked().filter(enabled=True).exclude(expires__lte=timezone.now())

    def changed_since(self, revision: int) -> KeyQuerySet:
        """Returns what changed after that number, in order."""
        return self.filter(revision__gt=revision).order_by("revision", "pk")

    def last_revision(self) -> int:
        """Returns the greatest number that any of these keys has."""
        return self.aggregate(last=models.Max("revision"))["last"] or 0

    def revoke(self) -> int:
        """Revokes these keys for good; returns how many were not revoked before."""
        return self.not_revoked().apply(revoked_at=timezone.now())

    def disable(self) -> int:
        """Makes these keys good for nothing until they are enabled; returns how many were not so before."""
        return self.not_revoked().filter(enabled=True).apply(enabled=False)

    def enable(self) -> int:
        """Takes that back; returns how many were disabled."""
        return self.not_revoked().filter(enabled=False).apply(enabled=True)

    def note_uses(self, uses: Mapping[str, float]) -> None:
        """Stores when keys (by id) were last used, in epoch seconds; nothing turns the clock back.

        No change to a key, hence not numbered.  A key that somebody is changing at this moment is passed over: its next
        use tells as much, and whoever brings the account in must wait for nobody.
        """
        # In plain SQL: expressions would cost fifty times as much, twice a second.
        field = self.model._meta.get_field("last_used")  # noqa: SLF001 -- Django's documented way to a field
        quote, features = connection.ops.quote_name, connection.features
        table = quote(self.model._meta.db_table)  # noqa: SLF001 -- likewise
        free = connection.ops.for_update_sql(skip_locked=True) if features.has_select_for_update_skip_locked else ""
        times = (
            (key_id, field.get_db_prep_save(datetime.fromtimestamp(at, UTC), connection)) for key_id, at in uses.items()
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                f"UPDATE {table} SET last_used = %s WHERE id = (SELECT id FROM {table} "  # noqa: S608 -- our own names
                f"WHERE key_id = %s AND (last_used IS NULL OR last_used < %s) {free})",
                [(time, key_id, time) for key_id, time in times],
            )

    def digest_anew(self, key_id: str, old: str, new: str) -> None:
        """Stores a secret's digest under the present pepper, unless the secret was changed meanwhile.

        The secret stays what it was: no change, hence not numbered.
        """
        mine = self.filter(key_id=key_id)
        models.QuerySet.update(mine.filter(digest=old), digest=new, pepper_id=present_pepper())
        models.QuerySet.update(mine.filter(old_digest=old), old_digest=new)

    def update(self, **values: Any) -> int:
        """Changes these keys; raises RevocationIsFinal if it touches `revoked_at`."""
        if "revoked_at" in values:
            raise RevocationIsFinal("revoked_at is set by revoke() alone")
        return self.apply(**values)

    def apply(self, **values: Any) -> int:
        """Changes these keys, numbers the change and audits it; returns how many there are."""
        with transaction.atomic():
            head = KeyRevision.lock()
            before = changes.snapshot(self)
            found = list(before)
            for start in range(0, len(found), KEYS_A_STATEMENT):
                # By their numbers: the conditions that chose them may not hold any more once they are changed.
                part = self.model.objects.filter(pk__in=found[start : start + KEYS_A_STATEMENT])
                models.QuerySet.update(part, **values)
                revision = head.append(changes.deeds(before, changes.snapshot(part)))
                models.QuerySet.update(part, revision=revision)
            return len(found)

    def bulk_create(self, objs: Iterable[Key], *args: Any, **kwargs: Any) -> list[Key]:
        """Stores many new keys."""
        made = list(objs)
        with transaction.atomic():
            head = KeyRevision.lock()
            revision = head.append([changes.issued(key) for key in made])
            for key in made:
                key.revision = revision
                Allowance.put("key", key.key_id, key.new_limits or {})
            return super().bulk_create(made, *args, **kwargs)

    def delete(self) -> NoReturn:
        """Refuses: raises KeyIsKept."""
        raise KeyIsKept("Keys are never deleted: revoke them.")

    # Django's own mark: a manager does not offer this method.
    delete.queryset_only = True  # type: ignore[attr-defined] # functions take attributes, mypy does not know
