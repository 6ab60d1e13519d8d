"""Takes a key out of the path `/k/KEY/…`, before anything reads, logs or counts the path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.paths import decoded

if TYPE_CHECKING:
    from gateway.request import Scope

PREFIX = b"/k/"
# Where the key waits in the scope for whoever authenticates.
SCOPE_KEY = "path_key"
LONGEST = 256


def take_key(scope: Scope) -> None:
    """Moves the key from a request's path into its scope: what follows is the path that the client means.

    A path without a key is left as it is, and exists nowhere.
    """
    key, slash, rest = scope["raw_path"][len(PREFIX) :].partition(b"/")
    if not key or len(key) > LONGEST:
        return
    scope[SCOPE_KEY] = key.decode("latin-1")
    scope["raw_path"] = raw_path = slash + rest or b"/"
    scope["path"] = decoded(raw_path)
    # A page for people would repeat its own address, and browsers would send that on.
    scope["headers"] = [field for field in scope["headers"] if field[0] != b"accept"]
