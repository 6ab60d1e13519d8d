"""The id that a request is known by: in its answer, in the log, and wherever else it is mentioned."""

from __future__ import annotations

import random
import re
from collections.abc import MutableMapping
from typing import Any

PLAIN_WORD = re.compile(rb"[A-Za-z0-9._-]{1,128}")


def request_id_of(scope: MutableMapping[str, Any]) -> str:
    """Returns the client's X-Request-ID where it is a plain word, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and PLAIN_WORD.fullmatch(value):
            return str(value.decode())
    return new_request_id()


def new_request_id() -> str:
    """Makes an id of 24 hexadecimal digits."""
    return f"{random.getrandbits(96):024x}"
