"""The key as it is stored."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models as db
from django.db import transaction
from django.utils import timezone

from apikeys import keys, lists
from apikeys.models.queryset import KeyIsKept, KeyQuerySet, RevocationIsFinal
from apikeys.models.revision import KeyRevision


def one_printable_line(value: str) -> None:
    """Refuses control characters: a label appears in logs and on terminals."""
    if not value.isprintable() or not value.strip():
        raise ValidationError("A label is one line of visible characters.")


class Key(db.Model):
    """A key: who got it, until when, and the digest of its secret.  It is never deleted, and revoked for good."""

    class State(db.TextChoices):
        """What a key is good for at this moment."""

        ACTIVE = "active"
        EXPIRED = "expired"
        REVOKED = "revoked"

    key_id = db.CharField(
        "id",
        max_length=32,
        unique=True,
        editable=False,
        help_text="The public part of the key, between its underscores.",
    )
    label = db.CharField(
        max_length=100,
        error_messages={"blank": "A key needs a label: say who or what will use it."},
        validators=[one_printable_line],
        help_text="Who or what uses this key, for example “Ana's laptop”.",
    )
    scopes = db.CharField(
        max_length=100,
        default="inference",
        validators=[lists.known_scopes],
        help_text="What the key is good for: inference, manage, keys; separated by commas.",
    )
    models = db.TextField(
        blank=True,
        default="",
        validators=[lists.model_patterns],
        help_text="The models that it may use, for example mistral, llama3*, me/*. Empty: all.",
    )
    digest = db.CharField(max_length=64, editable=False)
    created_by = db.ForeignKey(
        settings.AUTH_USER_MODEL, db.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created = db.DateTimeField(default=timezone.now, editable=False)
    last_used = db.DateTimeField(null=True, blank=True, editable=False)
    expires = db.DateTimeField(null=True, blank=True, help_text="Refused from this moment on (UTC). Empty: never.")
    revoked_at = db.DateTimeField("revoked", null=True, blank=True, editable=False)
    revision = db.PositiveBigIntegerField(default=0, db_index=True, editable=False)

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
        """Writes lists as they are stored; refuses a new key that has already expired."""
        self.scopes, self.models = lists.joined(self.scopes), lists.joined(self.models)
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
