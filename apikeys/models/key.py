"""The key as it is stored."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models as db
from django.db import transaction
from django.utils import timezone

from apikeys import keys, lists, unattended
from apikeys.models import changes
from apikeys.models.allowance import Allowance
from apikeys.models.queryset import KeyIsKept, KeyQuerySet, RevocationIsFinal, present_pepper
from apikeys.models.revision import KeyRevision
from apikeys.unicode_text import NOT_A_TEAM_NAME, is_line, is_team_name, is_text, is_visible

if TYPE_CHECKING:
    from collections.abc import Mapping

# How long a replaced secret stays good unless somebody says else.
GRACE = timedelta(days=1)


def one_printable_line(value: str) -> None:
    """Refuses what is no label: it appears in logs and on terminals."""
    if not is_line(value) or not is_visible(value):
        raise ValidationError(
            "A label is one line of visible characters, without control characters or bidirectional overrides."
        )


def printable(value: str) -> None:
    """Refuses what is no team's name; it may be empty."""
    if not is_team_name(value):
        raise ValidationError(NOT_A_TEAM_NAME)


class Key(db.Model):
    """A key: who got it, what it may do, until when, and the digest of its secret.

    It is never deleted, and revoked for good.
    """

    class State(db.TextChoices):
        """What a key is good for at this moment."""

        ACTIVE = "active"
        DISABLED = "disabled"
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
    owner = db.ForeignKey(
        settings.AUTH_USER_MODEL,
        db.SET_NULL,
        null=True,
        blank=True,
        related_name="api_keys",
        help_text="The person who answers for it.",
    )
    team = db.CharField(
        max_length=100,
        blank=True,
        default="",
        db_index=True,
        validators=[printable],
        help_text="A name that keys share, for example research.",
    )
    note = db.TextField(blank=True, default="", help_text="For operators; nobody else sees it.")
    scopes = db.CharField(
        max_length=100,
        default="inference",
        validators=[lists.known_scopes],
        help_text="What the key is good for, separated by commas.",
    )
    models = db.TextField(
        blank=True,
        default="",
        validators=[lists.model_patterns],
        help_text="The models that it may use, for example mistral, llama3*, me/*. Empty: all.",
    )
    routes = db.TextField(
        blank=True,
        default="",
        validators=[lists.known_routes],
        help_text="The dialects (gateway, ollama, openai, anthropic) or paths that it may use. Empty: all.",
    )
    addresses = db.TextField(
        blank=True,
        default="",
        validators=[lists.networks],
        help_text="The addresses and networks that it works from, as 192.0.2.7, 2001:db8::/32. Empty: all.",
    )
    allow_in_path = db.BooleanField(
        "key in the path",
        default=False,
        help_text="Also taken from the path, /k/KEY/…, for clients without a place for one. Paths end in logs.",
    )
    keyless_networks = db.TextField(
        "networks without a key",
        blank=True,
        default="",
        validators=[lists.networks],
        help_text="Requests without any key from these networks act as this key. Everybody in them can use it.",
    )
    body_limit = db.PositiveBigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="The largest request body, in bytes, below the one for all. Empty: that one.",
    )
    context_window = db.TextField(
        blank=True,
        default="",
        db_default="",
        validators=[lists.window_rules],
        help_text="Context windows by model, for example *=8192 or qwen3:*=16384..32768 (the default and the most) or "
        "llama3=32768! (forced). Empty: as in the settings.",
    )
    enabled = db.BooleanField(default=True, help_text="A disabled key is refused until it is enabled again.")
    expires = db.DateTimeField(null=True, blank=True, help_text="Refused from this moment on (UTC). Empty: never.")
    digest = db.CharField(max_length=64, editable=False)
    pepper_id = db.CharField(max_length=8, editable=False, blank=True, default="")
    old_digest = db.CharField(max_length=64, editable=False, blank=True, default="")
    old_until = db.DateTimeField("old secret until", null=True, blank=True, editable=False)
    secret_number = db.PositiveIntegerField(default=1, editable=False)
    legacy = db.BooleanField(default=False, editable=False, help_text="Its first secret came from the predecessor.")
    created_by = db.ForeignKey(
        settings.AUTH_USER_MODEL, db.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created = db.DateTimeField(default=timezone.now, editable=False)
    last_used = db.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = db.DateTimeField("revoked", null=True, blank=True, editable=False)
    revision = db.PositiveBigIntegerField(default=0, db_index=True, editable=False)

    # In memory alone: the secret, only on the object that was just issued; limits that are stored by the next save; and
    # what a page shows of its use.
    secret = ""
    new_limits: Mapping[str, int | None] | None = None
    may_be_expired = False  # an import keeps keys that have ended
    glance: Any = None

    objects = KeyQuerySet.as_manager()

    class Meta:
        """There is no permission to delete; what goes beyond a user's own takes a permission each."""

        verbose_name = "API key"
        ordering = ("-pk",)
        default_permissions = ("add", "change", "view")
        permissions = (
            ("grant_scopes", "Can grant keys scopes beyond inference, and change keys that have them"),
            ("set_limits", "Can set limits of keys beyond one's own"),
            ("assign_owner", "Can issue keys to other users, and change their keys"),
            ("assign_team", "Can issue and change keys of any team"),
        )

    def __str__(self) -> str:
        """Names the key for people."""
        return f"{self.label} ({self.key_id})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Stores, numbers and audits the change; raises RevocationIsFinal if the stored key is revoked.

        Of a stored key it writes what people may change; secrets have their own ways.
        """
        with transaction.atomic():
            head = KeyRevision.lock()
            stored = Key.objects.filter(pk=self.pk) if self.pk else Key.objects.none()
            before = changes.snapshot(stored).get(self.pk or 0)
            if before is None:
                self.revision = head.append([changes.issued(self)])
            else:
                # Checked under the row lock just taken: an object read before a revocation must not undo it.
                if before["revoked_at"] is not None:
                    raise RevocationIsFinal(f"{self} is revoked, and stays as it is.")
                asked = kwargs.get("update_fields")
                written = set(changes.EDITABLE if asked is None else asked) - {"revision"}
                kwargs["update_fields"] = {*(name.removesuffix("_id") for name in written), "revision"}
                after = {**before, **{name: getattr(self, name) for name in changes.EDITABLE if name in written}}
                limits = (self.limits, self._limits_to_be()) if self.new_limits is not None else None
                self.revision = head.append([changes.deed(before, after, limits)])
            super().save(*args, **kwargs)
            Allowance.put("key", self.key_id, self.new_limits or {})
            self.new_limits = None

    def save_changes(self) -> bool:
        """Saves what differs from what is stored, limits included; returns False, and saves nothing, for no change."""
        before = changes.snapshot(Key.objects.filter(pk=self.pk)).get(self.pk or 0)
        limits = self.new_limits is not None and self._limits_to_be() != self.limits
        if before is not None and not limits and all(getattr(self, name) == before[name] for name in changes.EDITABLE):
            return False
        self.save()
        return True

    @property
    def limits(self) -> dict[str, int]:
        """Returns the key's limits as they are stored, by dimension."""
        return Allowance.of("key", self.key_id)

    def _limits_to_be(self) -> dict[str, int]:
        together = {**self.limits, **(self.new_limits or {})}
        return {dimension: amount for dimension, amount in together.items() if amount is not None}

    @property
    def state(self) -> Key.State:
        """Tells what the key is good for now."""
        if self.revoked_at is not None:
            return Key.State.REVOKED
        if self.expires is not None and self.expires <= timezone.now():
            return Key.State.EXPIRED
        return Key.State.ACTIVE if self.enabled else Key.State.DISABLED

    @property
    def rotating(self) -> bool:
        """Tells whether two secrets are good."""
        return self.old_until is not None and self.old_until > timezone.now()

    @property
    def uses_legacy_secret(self) -> bool:
        """Tells whether the secret is one of the predecessor's, which had neither id nor checksum."""
        return self.legacy and self.secret_number == 1

    def clean(self) -> None:
        """Writes lists as they are stored; refuses a new key that has already expired."""
        for name in ("scopes", "models", "routes", "addresses", "context_window", "keyless_networks"):
            setattr(self, name, lists.joined(getattr(self, name)))
        self.team = self.team.strip()
        problem = lists.team_problem(self.team)
        if problem and not Key.objects.filter(pk=self.pk, team=self.team).exists():
            raise ValidationError({"team": problem})
        if not is_text(self.note):
            raise ValidationError({"note": "A note holds no control characters and no bidirectional overrides."})
        if self._state.adding and self.state is Key.State.EXPIRED and not self.may_be_expired:
            raise ValidationError({"expires": "This moment has passed: choose one in the future, or none."})

        unattended.check(self)

    def give_secret(self, key_id: str = "") -> str:
        """Gives an unsaved key its id, a new one unless given, and its secret; only the secret's digest is stored."""
        key_id, secret = keys.generate(key_id)
        self.key_id, self.secret = key_id, secret
        self.digest = keys.digest(secret, settings.KEY_PEPPER).hex()
        self.pepper_id = present_pepper()
        return secret

    def rotate(self, grace: timedelta = GRACE) -> str:
        """Gives a stored key a new secret and returns it; the one before stays good for `grace`, zero ends it now.

        An older one that was still good ends: two secrets live at most.  Raises RevocationIsFinal.
        """
        with transaction.atomic():
            KeyRevision.lock()
            stored = Key.objects.get(pk=self.pk)
            if stored.revoked_at is not None:
                raise RevocationIsFinal(f"{self} is revoked: issue a new key.")
            secret = keys.generate(stored.key_id).text
            Key.objects.filter(pk=self.pk).update(
                digest=keys.digest(secret, settings.KEY_PEPPER).hex(),
                pepper_id=present_pepper(),
                old_digest=stored.digest if grace else "",
                old_until=timezone.now() + grace if grace else None,
                secret_number=stored.secret_number + 1,
            )
        self.refresh_from_db()
        self.secret = secret
        return secret

    def revoke(self) -> bool:
        """Revokes the key for good; returns False if it was revoked before."""
        revoked = Key.objects.filter(pk=self.pk).revoke()
        self.refresh_from_db(fields=["revoked_at", "revision"])
        return bool(revoked)

    def delete(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuses: raises KeyIsKept."""
        raise KeyIsKept("Keys are never deleted: revoke them.")
