"""What there is to say of a key: as data for programs, and in a sentence for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apikeys.lists import SCOPES, parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from apikeys.models import Key


def described(key: Key, limits: dict[str, int] | None = None) -> dict[str, Any]:
    """Returns a key as JSON has it; times are ISO 8601 in UTC.  It holds no secret and no digest."""
    return {
        "id": key.key_id,
        "label": key.label,
        "state": key.state.value,
        "owner": key.owner.get_username() if key.owner else None,
        "team": key.team,
        "note": key.note,
        "scopes": list(parts(key.scopes)),
        "models": list(parts(key.models)),
        "routes": list(parts(key.routes)),
        "addresses": list(parts(key.addresses)),
        "allow_in_path": key.allow_in_path,
        "keyless_networks": list(parts(key.keyless_networks)),
        "body_limit": key.body_limit,
        "context_window": list(parts(key.context_window)),
        "limits": key.limits if limits is None else limits,
        "enabled": key.enabled,
        "expires": iso(key.expires),
        "created": iso(key.created),
        "last_used": iso(key.last_used),
        "revoked": iso(key.revoked_at),
        "old_secret_until": iso(key.old_until) if key.rotating else None,
        "legacy": key.uses_legacy_secret,
    }


def iso(moment: datetime | None) -> str | None:
    """Returns a moment as JSON has it."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def sentence(key: Key) -> str:
    """Says in a sentence what a key may do."""
    scopes = parts(key.scopes)
    deeds = [f"use {listed(parts(key.models)) or 'every model'}"] if "inference" in scopes else []
    deeds += [SCOPES[scope] for scope in scopes if scope in SCOPES and scope != "inference"]
    where = f"through {listed(parts(key.routes))} alone" if key.routes else ""
    whence = f"from {listed(parts(key.addresses))} alone" if key.addresses else "from anywhere"
    size = f"in bodies of up to {key.body_limit:,} bytes" if key.body_limit else ""
    windows = f"with context windows {listed(parts(key.context_window))}" if key.context_window else ""
    open_to = f"without a key from {listed(parts(key.keyless_networks))}" if key.keyless_networks else ""
    in_path = "with the key in the path" if key.allow_in_path else ""
    until = f"until {key.expires:%Y-%m-%d %H:%M} UTC" if key.expires else ""
    how = (listed(deeds), where, whence, in_path, open_to, size, windows, until)
    return f"May {', '.join(filter(None, how))}."


def listed(words: Sequence[str]) -> str:
    """Joins words as people write them."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
