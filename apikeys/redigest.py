"""Digests that were made under an older pepper: noted when their keys are used, stored anew now and then."""

from __future__ import annotations

from apikeys.models import Key


class NewDigests:
    """The digests to be replaced since the last write, in hex, by the key's id."""

    def __init__(self) -> None:
        self._noted: dict[str, tuple[str, str]] = {}

    def note(self, key_id: str, old: bytes, new: bytes) -> None:
        """Notes that a secret has another digest under the present pepper; one step in memory."""
        self._noted[key_id] = (old.hex(), new.hex())

    def write(self) -> None:
        """Stores what was noted; what can't be stored is noted again when its key is used again."""
        noted, self._noted = self._noted, {}
        for key_id, (old, new) in dict(noted).items():
            Key.objects.digest_anew(key_id, old, new)


new_digests = NewDigests()
