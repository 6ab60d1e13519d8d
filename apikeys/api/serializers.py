"""A key's fields as JSON: what is given, and what is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError as ModelError
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from apikeys.lists import SCOPES
from apikeys.models import Allowance
from apikeys.models.allowance import LARGEST

if TYPE_CHECKING:
    from apikeys.models import Key

LISTS = ("scopes", "models", "routes", "addresses", "keyless_networks")


class Words(serializers.ListField):
    """A list of words, none of which holds a separator."""

    child = serializers.RegexField(r"^[^,\s]+$", max_length=350)

    def to_internal_value(self, data: Any) -> Any:
        """Returns the list as it is stored."""
        return ",".join(super().to_internal_value(data))


class Strict(serializers.Serializer[Any]):
    """Refuses what it does not know: a limit with a slip of the pen would be no limit."""

    def to_internal_value(self, data: Any) -> Any:
        """Checks the names, then the values."""
        unknown = set(data) - set(self.fields) if isinstance(data, dict) else ()
        if unknown:
            names = ", ".join(self.fields)
            raise ValidationError({name: [f"{name!r} is no field here: choose among {names}."] for name in unknown})
        return super().to_internal_value(data)


def amount() -> serializers.IntegerField:
    """Returns a field for one limit."""
    return serializers.IntegerField(min_value=1, max_value=LARGEST, required=False, allow_null=True)


class LimitFields(Strict):
    """A key's limits; null takes one away."""

    requests_per_minute = amount()
    tokens_per_minute = amount()
    concurrency = amount()
    tokens_per_day = amount()
    tokens_per_month = amount()
    tokens_total = amount()
    output_tokens = amount()


class KeyFields(Strict):
    """What may be given to a key; lists are empty where everything is allowed."""

    label = serializers.CharField(max_length=100, help_text="Who or what uses it.")  # type: ignore[assignment] # DRF's fields have a label too
    owner = serializers.CharField(required=False, allow_null=True, help_text="A user's name.")
    team = serializers.CharField(required=False, allow_blank=True, max_length=100)
    note = serializers.CharField(required=False, allow_blank=True, max_length=10_000)
    scopes = Words(required=False, help_text=f"Of {', '.join(SCOPES)}; inference if not given.")
    models = Words(required=False, help_text="Patterns, as mistral, llama3*, me/*.")
    routes = Words(required=False, help_text="Dialects (gateway, ollama, openai, anthropic) or paths.")
    addresses = Words(required=False, help_text="Addresses or networks.")
    allow_in_path = serializers.BooleanField(required=False, help_text="Whether it is taken from the path, `/k/KEY/…`.")
    keyless_networks = Words(required=False, help_text="Networks whose requests without a key act as this one.")
    body_limit = serializers.IntegerField(required=False, allow_null=True, min_value=1, help_text="Bytes.")
    context_window = Words(required=False, help_text="Rules, as *=8192, qwen3:*=16384..32768, llama3=32768!.")
    expires = serializers.DateTimeField(required=False, allow_null=True)
    limits = LimitFields(required=False)

    def validate_owner(self, name: str | None) -> Any:
        """Returns the user of that name."""
        if not name:
            return None
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            raise ValidationError(f"No user is called {name!r}.")
        return user


class KeyChanges(KeyFields):
    """What may be changed of a key; what is left out stays as it is."""

    enabled = serializers.BooleanField(required=False, help_text="A disabled key is refused until it is enabled.")


class Rotation(Strict):
    """How a key is rotated."""

    grace = serializers.IntegerField(
        min_value=0,
        max_value=366 * 86_400,
        default=86_400,
        help_text="Seconds for which the old secret stays good; 0 ends it now.",
    )


class KeyShown(serializers.Serializer[Any]):
    """A key, without its secret."""

    id = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment] # likewise
    state = serializers.ChoiceField(choices=["active", "disabled", "expired", "revoked"])
    owner = serializers.CharField(allow_null=True)
    team = serializers.CharField()
    note = serializers.CharField(required=False)
    scopes = serializers.ListField(child=serializers.CharField())
    models = serializers.ListField(child=serializers.CharField())
    routes = serializers.ListField(child=serializers.CharField())
    addresses = serializers.ListField(child=serializers.CharField())
    allow_in_path = serializers.BooleanField()
    keyless_networks = serializers.ListField(child=serializers.CharField())
    body_limit = serializers.IntegerField(allow_null=True)
    context_window = serializers.ListField(child=serializers.CharField())
    limits = LimitFields()
    enabled = serializers.BooleanField()
    expires = serializers.DateTimeField(allow_null=True)
    created = serializers.DateTimeField()
    last_used = serializers.DateTimeField(allow_null=True)
    revoked = serializers.DateTimeField(allow_null=True)
    old_secret_until = serializers.DateTimeField(allow_null=True)
    legacy = serializers.BooleanField()


def warnings_field() -> serializers.ListField:
    """Returns the field of what is probably not meant."""
    return serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="What is probably not meant, as a pattern without a model; left out if nothing.",
    )


class KeyChecked(KeyShown):
    """A key, with what is probably not meant about it."""

    warnings = warnings_field()


class KeyIssued(KeyChecked):
    """A key with its secret, which is shown this once."""

    key = serializers.CharField()


class KeyPage(serializers.Serializer[Any]):
    """A page of keys, the newest first."""

    keys = KeyShown(many=True)
    next = serializers.CharField(allow_null=True, help_text="The path of the page that follows.")


class SharedLimits(serializers.Serializer[Any]):
    """The limits of an owner or a team."""

    whose = serializers.CharField(help_text="`team:NAME` or `owner:USER`.")
    limits = LimitFields()


class SharedLimitsChanged(SharedLimits):
    """The limits of an owner or a team after a change."""

    warnings = warnings_field()


class AllSharedLimits(serializers.Serializer[Any]):
    """The limits of owners and teams."""

    limits = SharedLimits(many=True)


def given(fields: type[KeyFields], data: Any, *, partial: bool = False) -> tuple[dict[str, Any], dict[str, int | None]]:
    """Returns the checked fields and the limits of a request's body; raises ValidationError."""
    if not isinstance(data, dict):
        raise ValidationError("The body must be a JSON object.")
    checked = fields(data=data, partial=partial)
    checked.is_valid(raise_exception=True)
    values: dict[str, Any] = dict(checked.validated_data)
    limits = dict(values.pop("limits", {}))
    assert set(limits) <= set(Allowance.Dimension.values)  # noqa: S101 -- two lists of one thing
    return values, limits


def checked(key: Key) -> None:
    """Checks a key's fields as the admin does; raises DRF's ValidationError."""
    try:
        key.full_clean()
    except ModelError as error:
        raise ValidationError({name: list(messages) for name, messages in error.message_dict.items()}) from None
