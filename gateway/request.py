"""A request as the machine lane sees it."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

from django.core.handlers.asgi import ASGIRequest

if TYPE_CHECKING:
    from apikeys.principal import Principal
    from proxy.call import Call

# As the ASGI specification has them; Django's stubs insist on dict here and on Mapping there.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NO_BODY = io.BytesIO()
# How headers are called, here and in META, kept for those that come often: a client can't make it grow for ever.
NAMES: dict[bytes, tuple[str, str]] = {}
MAX_NAMES = 256


class LaneRequest(ASGIRequest):
    """A request whose body has not been read; it carries its call.

    It has of Django's request what views and CORS need, and is made in a third of the time.  `argument` is the
    parameter at the end of its path, `is_read` whether all of its body was received.
    """

    headers: dict[str, str]  # type: ignore[assignment]  # lower case, as ASGI has them
    user: Principal  # type: ignore[assignment]  # a key, not a person

    def __init__(self, scope: Scope, receive: Receive, call: Call) -> None:  # not super's: see above
        self.scope = scope
        self.receive = receive
        self.call = call
        self.argument = ""
        self.is_read = False
        self.method = call.method
        self.path = self.path_info = call.path
        self.META = meta = {
            "REQUEST_METHOD": call.method,
            "QUERY_STRING": "",
            "SERVER_NAME": "",
            "SERVER_PORT": "0",
            "REMOTE_ADDR": call.client,
        }
        self.headers = headers = {}
        for raw_name, raw_value in scope["headers"]:
            name, in_meta = NAMES.get(raw_name) or names_of(raw_name)
            headers[name] = value = raw_value.decode("latin-1")
            meta[in_meta] = f"{meta[in_meta]},{value}" if in_meta in meta else value
        self._stream = NO_BODY


def names_of(raw_name: bytes) -> tuple[str, str]:
    """Returns how a header (lower case, as ASGI has it) is called, also in META; with an underscore it is nobody's."""
    name = raw_name.decode("latin-1")
    if "_" in name:
        return name, "INVALID"
    plain = name.upper().replace("-", "_")
    known = name, plain if plain in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{plain}"
    if len(NAMES) < MAX_NAMES:
        NAMES[raw_name] = known
    return known


def client_of(scope: Scope) -> str:
    """Returns the client's address, "" where it has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""
