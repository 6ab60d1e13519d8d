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
# What headers are called in META, kept for those that come often: a client can't make it grow for ever.
NAMES: dict[bytes, str] = {}
MAX_NAMES = 256


class LaneRequest(ASGIRequest):
    """A request whose body has not been read; it carries its call.

    It has of Django's request what views and CORS need, and is made in a third of the time.  `argument` is the
    parameter at the end of its path, `is_read` whether all of its body was received.
    """

    user: Principal  # type: ignore[assignment]  # a key, not a person
    argument: str = ""
    is_read: bool = False

    def __init__(self, scope: Scope, receive: Receive, call: Call) -> None:  # not super's: see above
        self.scope = scope
        self.receive = receive
        self.call = call
        self.method = call.method
        self.path = self.path_info = call.path
        self.META = meta = {
            "REQUEST_METHOD": call.method,
            "QUERY_STRING": "",
            "SERVER_NAME": "",
            "SERVER_PORT": "0",
            "REMOTE_ADDR": call.client,
        }
        for raw_name, raw_value in scope["headers"]:
            name = NAMES.get(raw_name) or name_of(raw_name)
            value = raw_value.decode("latin-1")
            meta[name] = f"{meta[name]},{value}" if name in meta else value
        self._stream = NO_BODY


def name_of(raw_name: bytes) -> str:
    """Returns what a header (lower case, as ASGI has it) is called in META; with an underscore it is nobody's."""
    name = raw_name.decode("latin-1")
    if "_" in name:
        return "INVALID"
    plain = name.upper().replace("-", "_")
    known = plain if plain in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{plain}"
    if len(NAMES) < MAX_NAMES:
        NAMES[raw_name] = known
    return known


def user_agent_of(scope: Scope) -> str:
    """Returns the User-Agent header, "" where there is none."""
    for name, value in scope["headers"]:
        if name == b"user-agent":
            return str(value.decode("latin-1"))
    return ""


def client_of(scope: Scope) -> str:
    """Returns the client's address, "" where it has none."""
    client = scope.get("client")
    return str(client[0]) if client else ""
