"""Lists of models, without those that a key may not use and with the aliases that it may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxy.dialects.base import object_of
from proxy.exceptions import ModelNotFound, UpstreamBroke
from proxy.names import matches, readings, same

if TYPE_CHECKING:
    from collections.abc import Collection

    from apikeys.principal import Principal
    from proxy.policy import Policy

Entry = dict[str, Any]


class Sight:
    """What one key sees of the models."""

    def __init__(self, principal: Principal, policy: Policy, remote: Collection[str]) -> None:
        self.principal = principal
        self.policy = policy
        self.remote = remote

    def sees(self, name: object, entry: Entry) -> bool:
        """Tells whether a listed model may be seen: exactly if it may be used."""
        names = readings(name) if isinstance(name, str) else ()
        if not names:
            return False
        if not self.policy.allow_cloud and (
            entry.get("remote_host") or any(one.cloud or one.short in self.remote for one in names)
        ):
            return False
        patterns = self.principal.models
        return not patterns or all(any(matches(one, pattern) for pattern in patterns) for one in names)

    def entries(self, body: bytes, field: str, key: str) -> tuple[list[Entry], bool]:
        """Returns the entries of `field` whose `key` names a model that is seen, and whether any was hidden.

        Raises UpstreamBroke for what is no list.
        """
        try:
            listed = object_of(orjson.loads(body)).get(field)
        except orjson.JSONDecodeError:
            raise UpstreamBroke("Ollama's list of models can't be read.") from None
        # Ollama writes null for an empty list on /v1.
        every = listed if isinstance(listed, list) else []
        seen = [entry for entry in every if isinstance(entry, dict) and self.sees(entry.get(key), entry)]
        return seen, len(seen) != len(every) or listed is None

    def aliased(self, entries: list[Entry], *keys: str) -> list[Entry]:
        """Returns an entry for each alias whose model is listed, named by the alias."""
        return [
            {**entry, **dict.fromkeys(keys, alias)}
            for alias, target in self.policy.aliases.items()
            for entry in entries
            if same(target, str(entry.get(keys[0])))
        ]


def tags(body: bytes, sight: Sight) -> bytes:
    """Returns Ollama's list of its models as one key sees it; byte for byte where nothing differs."""
    entries, hidden = sight.entries(body, "models", "name")
    aliases = sight.aliased(entries, "name", "model")
    return orjson.dumps({"models": entries + aliases}) if hidden or aliases else body


def running_models(body: bytes, sight: Sight) -> bytes:
    """Returns Ollama's list of loaded models as one key sees it."""
    entries, hidden = sight.entries(body, "models", "name")
    return orjson.dumps({"models": entries}) if hidden else body


def models(body: bytes, sight: Sight) -> bytes:
    """Returns OpenAI's list of models as one key sees it."""
    entries, hidden = sight.entries(body, "data", "id")
    aliases = sight.aliased(entries, "id")
    return orjson.dumps({"object": "list", "data": entries + aliases}) if hidden or aliases else body


def model(body: bytes, sight: Sight, wanted: str) -> bytes:
    """Returns one entry of OpenAI's list, under the name by which it was asked for.  Raises ModelNotFound."""
    entries, _ = sight.entries(body, "data", "id")
    target = sight.policy.resolve(wanted)
    for entry in entries:
        if same(target, str(entry.get("id"))):
            return orjson.dumps({**entry, "id": wanted})
    raise ModelNotFound(wanted)


def for_anthropic(body: bytes) -> bytes:
    """Turns OpenAI's list, or one entry of it, into Anthropic's shape."""
    answer = object_of(orjson.loads(body))
    if "data" not in answer:
        return orjson.dumps(anthropic_entry(answer))
    entries = [anthropic_entry(entry) for entry in answer["data"]]
    ids = [entry["id"] for entry in entries] or [None]
    return orjson.dumps({"data": entries, "has_more": False, "first_id": ids[0], "last_id": ids[-1]})


def anthropic_entry(entry: Entry) -> Entry:
    """Returns a model in Anthropic's shape."""
    from datetime import UTC, datetime

    created = entry.get("created")
    when = datetime.fromtimestamp(created if isinstance(created, int) else 0, UTC)
    return {
        "type": "model",
        "id": entry.get("id"),
        "display_name": entry.get("id"),
        "created_at": when.isoformat().replace("+00:00", "Z"),
    }
