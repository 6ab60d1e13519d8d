"""Paths as clients write them, with a slash too many."""

from __future__ import annotations

from urllib.parse import unquote


def respellings(raw_path: bytes) -> list[bytes]:
    """Returns what a path that does not exist may mean: without doubled slashes, then without the one at its end.

    Base URLs that end in a slash and paths that begin with one make `//api/tags` and `/v1//models`.  Only the bytes of
    the path are looked at, never what they stand for when decoded; more than one too many at a place means nothing.
    """
    if b"///" in raw_path or (raw_path.endswith(b"//") and len(raw_path) > 2):  # noqa: PLR2004 -- the two slashes
        return []
    single = raw_path.replace(b"//", b"/")
    found = [single] if single != raw_path else []
    if len(single) > 1 and single.endswith(b"/"):
        found.append(single[:-1])
    return found


def decoded(raw_path: bytes) -> str:
    """Returns a path as ASGI has it: decoded."""
    return unquote(raw_path.decode("ascii", "replace"))
