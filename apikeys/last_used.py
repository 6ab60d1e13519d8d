"""When keys were last used: noted in memory on a request's way, written now and then."""

from __future__ import annotations

import time

from apikeys.models import Key


class LastUsed:
    """The uses since the last write.  A use noted in the very moment of a write may be lost; the next one is not."""

    def __init__(self) -> None:
        self._uses: dict[str, float] = {}

    def note(self, key_id: str) -> None:
        """Notes that a key is used now; one step in memory."""
        self._uses[key_id] = time.time()

    def write(self) -> None:
        """Stores what was noted; keeps it for the next time if the database refuses, and raises its error."""
        taken, self._uses = self._uses, {}
        uses = dict(taken)
        if not uses:
            return
        try:
            Key.objects.note_uses(uses)
        except Exception:
            self._uses = {**uses, **self._uses}
            raise


last_used = LastUsed()
