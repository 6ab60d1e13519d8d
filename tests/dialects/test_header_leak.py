"""What of a client reaches Ollama: its request's meaning, and nothing about it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from benchmarks.stub_client import Recorded
from tests.dialects.front import BODIES, DIGEST, MANAGE_BODIES, STREAMED, House, name_of

# Each value carries a mark by which a leak is found anywhere.
MARK = "leakedvalue"
NOSY = {
    "Cookie": f"session={MARK}; ollama={MARK}",
    "Origin": f"https://{MARK}.example",
    "Referer": f"https://{MARK}.example/page?{MARK}",
    "User_Agent": f"{MARK}/1.0",
    "Accept": f"application/{MARK}, */*",
    "Accept_Language": MARK,
    "Accept_Encoding": f"gzip, br, {MARK}",
    "Accept_Charset": MARK,
    "Forwarded": f"for={MARK};host={MARK}",
    "X_Forwarded_For": f"203.0.113.7, {MARK}",
    "X_Forwarded_Host": MARK,
    "X_Forwarded_Proto": "https",
    "X_Real_IP": "203.0.113.7",
    "Via": f"1.1 {MARK}",
    "True_Client_IP": "203.0.113.7",
    "CF_Connecting_IP": "203.0.113.7",
    "From": f"{MARK}@example.com",
    "Proxy_Authorization": f"Basic {MARK}",
    "Proxy_Connection": "keep-alive",
    "Connection": f"keep-alive, X-{MARK}",
    "Keep_Alive": f"timeout={MARK}",
    "TE": f"trailers, {MARK}",
    "Trailer": f"X-{MARK}",
    "Anthropic_Version": "2023-06-01",
    "Anthropic_Beta": MARK,
    "Anthropic_Dangerous_Direct_Browser_Access": MARK,
    "OpenAI_Organization": MARK,
    "OpenAI_Project": MARK,
    "OpenAI_Beta": MARK,
    "X_Stainless_Lang": MARK,
    "X_Stainless_Retry_Count": MARK,
    "X_Goog_Api_Key": MARK,
    "Api_Key": MARK,
    "X_Request_ID": f"req-{MARK}",
    "X_Client_Request_Id": MARK,
    "Idempotency_Key": MARK,
    "Traceparent": f"00-{MARK}",
    "Baggage": MARK,
    "X_Custom": MARK,
    "If_None_Match": MARK,
    "If_Modified_Since": MARK,
    "Range": f"bytes=0-{MARK}",
    "Authorization_Extra": MARK,
}
CALLS: list[tuple[str, str, object]] = [
    *(("POST", path, body) for path, body in BODIES.items()),
    *(("POST", path, {**BODIES[path], "stream": True}) for path in STREAMED),
    *(("DELETE" if path == "/api/delete" else "POST", path, body) for path, body in MANAGE_BODIES.items()),
    *((method, path, None) for path in ("/api/tags", "/api/version") for method in ("GET", "HEAD")),
    *(("GET", path, None) for path in ("/api/ps", "/v1/models", "/v1/models/stub", "/api/v1/models")),
    ("POST", "/v1/messages/count_tokens", BODIES["/v1/messages"]),
    ("HEAD", f"/api/blobs/{DIGEST}", None),
    ("POST", f"/api/blobs/{DIGEST}", b"a file"),
]
# All that may reach Ollama; the first is Ollama's own address.
ALLOWED = {
    "host",
    "accept",
    "accept-encoding",
    "user-agent",
    "content-type",
    "content-length",
    "connection",
    "transfer-encoding",
}


def spelled(key: str) -> list[dict[str, Any]]:
    """All the ways in which a client may show its key, and a few that do not count beside it."""
    basic = base64.b64encode(f"anybody:{key}".encode()).decode()
    return [
        {"X_API_Key": key},
        {"x_api_key": key},
        {"Authorization": f"Bearer {key}"},
        {"Authorization": f"Basic {basic}"},
        {"X_API_Key": key, "Authorization": f"Bearer {key}"},
    ]


def check(house: House, request: Recorded, secrets: list[str]) -> None:
    """Fails for any header beside the few, and for anything of the client's in what the stub was sent."""
    names = [name.lower() for name, _ in request.headers]
    assert len(names) == len(set(names)), request.headers
    assert set(names) <= ALLOWED, request.headers
    assert request.header("Host") == house.stub.url.removeprefix("http://")
    assert request.header("User-Agent") == "ollama-gateway"
    assert request.header("Accept-Encoding") == "identity"
    assert request.header("Transfer-Encoding") is None
    sent = repr((request.target, request.headers, request.body))
    for word in (MARK, "203.0.113.7", "127.0.0.1:" + str(house.server.port), *secrets):
        assert word not in sent, (name_of(request), word)


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=[f"{call[0]} {call[1]}" for call in CALLS])
def test_nothing_of_the_client_goes_along(house: House, method: str, path: str, body: object) -> None:
    key = house.keys["manager"]
    secrets = [key, key.split("_")[1], key.split("_")[2], base64.b64encode(f"anybody:{key}".encode()).decode()]
    for headers in spelled(key):
        answer = house.ask(path, body, method=method, who="nobody", headers={**NOSY, **headers})
        assert answer.status < 400 or (method == "HEAD" and answer.status == 404), answer
    everything = house.stub.requests()
    assert everything or path.endswith("count_tokens")
    for request in everything:
        check(house, request, secrets)


def test_a_field_of_the_body_that_nobody_knows_is_the_clients_own_doing(house: House) -> None:
    """Fields pass, so that a newer Ollama can be used; the credential is never among them by our doing."""
    house.ask("/api/chat", {**BODIES["/api/chat"], "future": {"field": 1}})
    (request,) = house.reached()
    assert request.json()["future"] == {"field": 1}


def test_two_keys_that_differ_are_refused(house: House) -> None:
    one, other = house.keys["user"], house.keys["manager"]
    basic = base64.b64encode(f"x:{other}".encode()).decode()
    for headers in (
        {"X_API_Key": one, "Authorization": f"Bearer {other}"},
        {"X_API_Key": one, "Authorization": f"Basic {basic}"},
        {"X_API_Key": other, "Authorization": f"Bearer {one}"},
    ):
        answer = house.ask("/api/ps", method="GET", who="nobody", headers=headers)
        assert answer.status == 401
    assert house.reached() == []
