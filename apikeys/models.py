"""The key as it is stored, and the numbering of its changes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.utils import timezone

from apikeys import keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from django.contrib.auth.models import User

USES_A_STATEMENT = 400


class KeyIsKept(Exception):
    """A key was to be deleted; keys are revoked and kept, so that the account of their use stays whole."""


class RevocationIsFinal(Exception):
    """A revoked key was to be changed or brought back; issue a new one instead."""


class KeyRevision(models.Model):
    """The one row that numbers every change to a key.

    Whoever changes a key holds this row's lock until the commit, so numbers become visible in their own order,
    and a reader who has seen number n misses nothing by asking for what is greater than n.
    """

    latest = models.PositiveBigIntegerField(default=0)

    class Meta:
        """Nobody changes numbers by hand."""

        default_permissions = ()

    def __str__(self) -> str:
        """Says the number."""
        return f"revision {self.latest}"

    @classmethod
    def take(cls) -> int:
        """Returns the next number; must run in the transaction that makes the change."""
        row = cls.objects.filter(pk=1)
        if not row.update(latest=models.F("latest") + 1):
            # The row is made by a migration; a flushed or half-restored database may lack it.
            cls.objects.create(pk=1, latest=1 + Key.objects.last_revision())
        return row.get().latest

    @classmethod
    def seen(cls) -> int:
        """Returns the number of the latest change."""
        return cls.objects.filter(pk=1).values_list("latest", flat=True).first() or 0


def one_printable_line(value: str) -> None:
    """Refuses control characters: a label appears in logs and on terminals."""
    if not value.isprintable() or not value.strip():
        raise ValidationError("A label is one line of visible characters.")


class KeyQuerySet(models.QuerySet["Key"]):
    """Sets of keys, by what people want to know of them; every change made through them is numbered."""

    def issue(self, *, label: str, created_by: User | None = None, expires: datetime | None = None) -> tuple[Key, str]:
        """Makes and stores a key; returns it with its secret, which is kept nowhere.

        Raises ValidationError when the label is no printable line of up to 100 characters or `expires` has passed.
        """
        key = self.model(label=label.strip(), created_by=created_by, expires=expires)
        secret = key.give_secret()
        key.full_clean()
        key.save(force_insert=True)
        return key, secret

    def not_revoked(self) -> KeyQuerySet:
        """Leaves out the revoked keys."""
        return self.filter(revoked_at=None)

    def usable(self) -> KeyQuerySet:
        """Leaves out the revoked and the expired keys."""
        return self.not_revoked().exclude(expires__lte=timezone.now())

    def changed_since(self, revision: int) -> KeyQuerySet:
        """Returns what changed after that number, in order."""
        return self.filter(revision__gt=revision).order_by("revision", "pk")

    def last_revision(self) -> int:
        """Returns the greatest number that any of these keys has."""
        return self.aggregate(last=models.Max("revision"))["last"] or 0

    def revoke(self) -> int:
        """Revokes these keys for good; returns how many were not revoked before."""
        with transaction.atomic():
            revision = KeyRevision.take()
            return models.QuerySet.update(self.not_revoked(), revoked_at=timezone.now(), revision=revision)

    def note_uses(self, uses: Mapping[str, float]) -> None:
        """Stores when keys (by id) were last used, in epoch seconds.  No change to a key, hence not numbered."""
        ids = list(uses)
        for start in range(0, len(ids), USES_A_STATEMENT):
            part = ids[start : start + USES_A_STATEMENT]
            times = [models.When(key_id=i, then=models.Value(datetime.fromtimestamp(uses[i], UTC))) for i in part]
            last_used = models.Case(*times, output_field=models.DateTimeField())
            models.QuerySet.update(self.filter(key_id__in=part), last_used=last_used)

    def update(self, **changes: Any) -> int:
        """Changes these keys and numbers the change; raises RevocationIsFinal if it touches `revoked_at`."""
        if "revoked_at" in changes:
            raise RevocationIsFinal("revoked_at is set by revoke() alone")
        with transaction.atomic():
            return super().update(**{**changes, "revision": KeyRevision.take()})

    def bulk_create(self, objs: Iterable[Key], *args: Any, **kwargs: Any) -> list[Key]:
        """Stores many new keys under one number."""
        made = list(objs)
        with transaction.atomic():
            revision = KeyRevision.take()
            for key in made:
                key.revision = revision
            return super().bulk_create(made, *args, **kwargs)

    def delete(self) -> NoReturn:
        """Refuses: raises KeyIsKept."""
        raise KeyIsKept("Keys are never deleted: revoke them.")

    # Django's own mark: a manager does not offer this method.
    delete.queryset_only = True  # type: ignore[attr-defined] # functions take attributes, mypy does not know


class Key(models.Model):
    """A key: who got it, until when, and the digest of its secret.  It is never deleted, and revoked for good."""

    class State(models.TextChoices):
        """What a key is good for at this moment."""

        ACTIVE = "active"
        EXPIRED = "expired"
        REVOKED = "revoked"

    key_id = models.CharField(
        "id",
        max_length=32,
        unique=True,
        editable=False,
        help_text="The public part of the key, between its underscores.",
    )
    label = models.CharField(
        max_length=100,
        error_messages={"blank": "A key needs a label: say who or what will use it."},
        validators=[one_printable_line],
        help_text="Who or what uses this key, for example “Ana's laptop”.",
    )
    digest = models.CharField(max_length=64, editable=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created = models.DateTimeField(default=timezone.now, editable=False)
    last_used = models.DateTimeField(null=True, blank=True, editable=False)
    expires = models.DateTimeField(null=True, blank=True, help_text="Refused from this moment on (UTC). Empty: never.")
    revoked_at = models.DateTimeField("revoked", null=True, blank=True, editable=False)
    revision = models.PositiveBigIntegerField(default=0, db_index=True, editable=False)

    # In memory alone, and only on the object that was just issued: no field.
    secret = ""

    objects = KeyQuerySet.as_manager()

    class Meta:
        """There is no permission to delete."""

        verbose_name = "API key"
        ordering = ("-pk",)
        default_permissions = ("add", "change", "view")

    def __str__(self) -> str:
        """Names the key for people."""
        return f"{self.label} ({self.key_id})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Stores and numbers the change; raises RevocationIsFinal if the stored key is revoked."""
        with transaction.atomic():
            self.revision = KeyRevision.take()
            # Checked under the row lock just taken: an object read before a revocation must not undo it.
            if self.pk and Key.objects.filter(pk=self.pk).exclude(revoked_at=None).exists():
                raise RevocationIsFinal(f"{self} is revoked, and stays as it is.")
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "revision"}
            super().save(*args, **kwargs)

    @property
    def state(self) -> Key.State:
        """Tells what the key is good for now."""
        if self.revoked_at is not None:
            return Key.State.REVOKED
        if self.expires is not None and self.expires <= timezone.now():
            return Key.State.EXPIRED
        return Key.State.ACTIVE

    def clean(self) -> None:
        """Refuses a new key that has already expired."""
        if self._state.adding and self.state is Key.State.EXPIRED:
            raise ValidationError({"expires": "This moment has passed: choose one in the future, or none."})

    def give_secret(self) -> str:
        """Gives an unsaved key its id and its secret; returns the secret, of which only the digest will be stored."""
        key_id, secret = keys.generate()
        self.key_id, self.secret = key_id, secret
        self.digest = keys.digest(secret, settings.KEY_PEPPER).hex()
        return secret

    def revoke(self) -> bool:
        """Revokes the key for good; returns False if it was revoked before."""
        revoked = Key.objects.filter(pk=self.pk).revoke()
        self.refresh_from_db(fields=["revoked_at", "revision"])
        return bool(revoked)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuses: raises KeyIsKept."""
        raise KeyIsKept("Keys are never deleted: revoke them.")
