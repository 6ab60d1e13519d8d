"""Puts the client's name of a model back into the answer of the model behind an alias."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable


def renamer(target: str, asked: str, separator: bytes = b"\n\n") -> Callable[[bytes], bytes]:
    """Returns a function that renames the model in each frame.

    The first `"model":"…"` of a frame is Ollama's own: it stands before anything that a model says, and a JSON string
    can't hold it, since its quotes are escaped.
    """
    old, new = b'"model":' + orjson.dumps(target), b'"model":' + orjson.dumps(asked)

    def rename(frames: bytes) -> bytes:
        return separator.join(frame.replace(old, new, 1) for frame in frames.split(separator))

    return rename
