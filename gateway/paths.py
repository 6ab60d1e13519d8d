"""Paths as clients and proxies write them: with a slash too many, and under a prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from gateway.request import Scope


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


def remove_prefix(scope: Scope, prefix: str) -> None:
    """Makes a request's path the gateway's own, and notes the prefix, which links begin with, as ASGI's `root_path`.

    Some proxies take the prefix off before they pass a request on, and some don't.  None of the gateway's paths begins
    with a prefix that can be set (`path_prefix` in gateway/values.py), so both are understood.
    """
    raw_path, start = scope["raw_path"], prefix.encode()
    if raw_path.startswith(b"/%b/" % start):  # a slash too many before it
        raw_path = raw_path[1:]
    if raw_path == start or raw_path.startswith(start + b"/"):
        scope["raw_path"] = raw_path[len(start) :] or b"/"
        scope["path"] = decoded(scope["raw_path"])
    scope["root_path"] = prefix
