"""No header of an answer is there twice, whichever layer answers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator

import pytest

from proxy.routes import ROUTES
from tests.dialects.front import BODIES, DIGEST, MANAGE_BODIES
from tests.harness import GatewayServer
from tests.proxy.wire import Client

# Lists may be sent in several lines (RFC 9110, 5.3); cookies must be.
LISTS = {"set-cookie", "vary", "www-authenticate"}
PAGES = [
    *("/", "/docs", "/api/docs", "/favicon.ico", "/admin", "/admin/", "/admin/login/", "/admin/unknown/"),
    *("/static/gateway/page.css", "/static/unknown", "/health", "/health/ready", "/health/live", "/metrics"),
    *("/api/info", "/api/schema", "/api/v1/key", "/api/v1/keys", "/api/v1/keys/x", "/api/v1/limits", "/api/v1/usage"),
    *("/unknown", "/v1/unknown", "/api/unknown", "/chat/completions", "/%2e%2e/", "//", "*"),
]
PREFLIGHT = {
    "Origin": "https://app.example",
    "Access_Control_Request_Method": "POST",
    "Access_Control_Request_Headers": "authorization,content-type,x-other",
}
WAYS: dict[str, dict[str, str]] = {
    "plain": {},
    "from a page": {"Origin": "https://app.example", "Accept": "text/html", "Accept_Encoding": "gzip, br"},
    "preflight": PREFLIGHT,
    "last": {"Connection": "close", "X_Request_ID": "my-own"},
    "another host": {"Host": "evil.example"},
    "encoded": {"Content_Encoding": "compress"},
    "anthropic": {"Anthropic_Version": "2023-06-01"},
}


def requests() -> Iterator[tuple[str, str, object]]:
    """Every route and page with every method."""
    for route in ROUTES:
        path = route.path.replace("{id}", "stub").replace("{digest}", DIGEST)
        body = BODIES.get(path) or MANAGE_BODIES.get(path)
        yield route.method, path, body
        if body is not None:
            yield route.method, path, {**body, "stream": True}
            yield route.method, path, b"not json"
        yield "PUT", path, None
    for path in dict.fromkeys([*PAGES, *(route.path for route in ROUTES)]):
        for method in ("GET", "HEAD", "POST", "OPTIONS"):
            yield method, path, None


def doubles(head: list[bytes]) -> list[str]:
    counts = Counter(line.partition(b":")[0].strip().lower().decode() for line in head[1:])
    return [name for name, count in counts.items() if count > 1 and name not in LISTS]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", [True, False], ids=["with a key", "without"])
def test_no_header_is_there_twice(gateway: GatewayServer, way: str, *, key: bool) -> None:
    seen = set()
    for method, path, body in requests():
        with Client(gateway) as client:
            sent = "OPTIONS" if way == "preflight" else method
            client.ask(path, body, method=sent, key=key, **{"Host": "localhost", **WAYS[way]})
            head = []
            while (line := client.file.readline().strip()) != b"":
                head.append(line)
        assert head, (method, path)
        assert doubles(head) == [], (sent, path, json.dumps(WAYS[way]), head)
        names = {line.partition(b":")[0].lower() for line in head[1:]}
        assert {b"date", b"x-request-id"} <= names, (sent, path, head)
        assert not {b"content-length", b"transfer-encoding"} <= names
        seen.add(int(head[0].split()[1]))
    assert len(seen) >= 1


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a:\r\n" * 300 + b"\r\n",
        b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n",
        b"GET /api/tags HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n",
        b"POST /admin/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n" + b"x" * 999_999,
    ],
    ids=["garbage", "version", "fields", "http 1.0", "kept http 1.0", "large form"],
)
def test_no_header_is_there_twice_in_what_the_server_says_itself(gateway: GatewayServer, raw: bytes) -> None:
    with Client(gateway) as client:
        client.send(raw)
        head = []
        while (line := client.file.readline().strip()) != b"":
            head.append(line)
        assert doubles(head) == [], head
