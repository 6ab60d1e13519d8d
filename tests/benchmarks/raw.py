"""A client that hides nothing: bytes out, bytes in."""

from __future__ import annotations

import json
import socket
import time
from urllib.parse import urlsplit


def connect(url: str) -> socket.socket:
    address = urlsplit(url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout=5)


def request(path: str, body: object = b"", *, close: bool = False, **how: str) -> bytes:
    """Writes a request; `how` may name its method, its host and more headers."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    more = how.get("headers", "") + ("Connection: close\r\n" if close else "")
    start = f"{how.get('method', 'POST')} {path} HTTP/1.1\r\nHost: {how.get('host', 'localhost')}\r\n"
    head = f"{start}Content-Length: {len(data)}\r\n{more}\r\n"
    return head.encode("latin-1") + data


def exchange(url: str, path: str, body: object = b"", **how: str) -> bytes:
    """Returns all bytes of the answer on a connection that closes after it."""
    with connect(url) as sock:
        sock.sendall(request(path, body, close=True, **how))
        return rest(sock)


def rest(sock: socket.socket) -> bytes:
    """Returns all bytes until the other side closes."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def split(answer: bytes) -> tuple[bytes, bytes]:
    """Returns the head and the body of an answer, the chunks of a chunked body joined."""
    head, _blank, body = answer.partition(b"\r\n\r\n")
    return head, b"".join(chunks(body)) if b"chunked" in head else body


def chunks(body: bytes) -> list[bytes]:
    """Returns the chunks of a chunked body, which must be whole."""
    found: list[bytes] = []
    while True:
        size, _end, body = body.partition(b"\r\n")
        length = int(size, 16)
        assert body[length : length + 2] == b"\r\n"
        if not length:
            assert body == b"\r\n"
            return found
        found.append(body[:length])
        body = body[length + 2 :]


def read_until(sock: socket.socket, mark: bytes, seconds: float = 5) -> bytes:
    """Reads until a mark has come."""
    data = b""
    deadline = time.monotonic() + seconds
    while mark not in data:
        assert time.monotonic() < deadline, data
        part = sock.recv(65536)
        assert part, data
        data += part
    return data
