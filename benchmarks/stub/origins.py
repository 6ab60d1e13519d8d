"""Which Host and Origin Ollama serves when it listens on loopback; others get an empty 403."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

LOCAL_ENDS = (".localhost", ".local", ".internal")
APP_SCHEMES = ("app", "file", "tauri", "vscode-webview", "vscode-file")
LOCAL_HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")  # noqa: S104 -- compared with, not bound to


def allows(headers: list[tuple[bytes, bytes]]) -> bool:
    """Tells whether a request's Host and Origin are Ollama's own or local."""
    host, origin = "", ""
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"host":
            host = value.decode("latin-1")
        elif lowered == b"origin":
            origin = value.decode("latin-1")
    return _host(host) and (not origin or _origin(origin, host))


def _host(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name in ("", "localhost") or name.endswith(LOCAL_ENDS):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_private or address.is_unspecified


def _origin(origin: str, host: str) -> bool:
    parts = urlsplit(origin)
    if parts.scheme in APP_SCHEMES:
        return True
    return parts.scheme in ("http", "https") and (parts.hostname in LOCAL_HOSTS or parts.netloc == host)
