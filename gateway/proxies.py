"""What proxies in front say of a request: believed from TRUSTED_PROXIES alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from gateway.values import path_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX = b"x-forwarded-prefix"


class TrustedProxies(ProxyHeadersMiddleware):
    """Takes a client's address and scheme, and the path prefix that it used, from the headers of trusted proxies."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves one ASGI connection."""
        if scope["type"] == "http" and (peer := scope.get("client")) and peer[0] in self.trusted_hosts:
            prefix = forwarded_prefix(scope["headers"])
            if prefix:
                scope["root_path"] = prefix
        await super().__call__(scope, receive, send)


def forwarded_prefix(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Returns the path prefix that a proxy names, "" for none and for one that can't be used."""
    named = [value for name, value in headers if name == PREFIX]
    try:
        return path_prefix(named[0].decode("ascii")) if len(named) == 1 else ""
    except ValueError:
        return ""
