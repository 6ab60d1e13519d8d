"""Clients without a place for a key: the key in the path, and networks whose requests act as a key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from django.core.exceptions import ValidationError

from apikeys import keys
from apikeys.keyring import Entry, KeyRing, Unattended
from apikeys.models import Key
from apikeys.principal import Principal
from apikeys.unattended import wide
from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, wait_until

CHAT = {"model": "stub", "messages": [{"role": "user", "content": "one two"}], "stream": False}
BODIES: dict[str, dict[str, Any]] = {
    "/api/chat": CHAT,
    "/api/v1/generate": {"model": "stub", "prompt": "one"},
    "/v1/chat/completions": CHAT,
    "/v1/messages": {**CHAT, "max_tokens": 9},
    "/v1/responses": {"model": "stub", "input": "one"},
}


class Door(NamedTuple):
    """A gateway of its own, whose keys a test may open to everybody."""

    server: GatewayServer

    def issue(self, *options: str) -> str:
        secret = self.server.manage("createapikey", "unattended", "--quiet", *options).stdout.strip()
        wait_until(lambda: self.ask("/api/version", method="GET", key=secret).status_code == 200, 5)
        return secret

    def ask(
        self, path: str, body: Any = None, *, method: str = "POST", key: str = "", **headers: str
    ) -> httpx.Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if key:
            fields["X-API-Key"] = key
        return httpx.request(method, f"{self.server.url}{path}", headers=fields, json=body, timeout=10)

    def change(self, secret: str, *options: str) -> None:
        self.server.manage("changeapikey", keys.find_id(secret) or "", *options)


@pytest.fixture(scope="module")
def door(stub: StubProcess) -> Iterator[Door]:
    with GatewayServer(ollama_url=stub.url, APP_ENV="production", TLS="false", INVALID_KEYS_PER_MINUTE="60") as server:
        yield Door(server)


@pytest.fixture(scope="module")
def in_path(door: Door) -> str:
    return door.issue("--allow-in-path", "yes")


@pytest.mark.parametrize("path", BODIES)
def test_a_key_in_the_path_serves_every_dialect(door: Door, in_path: str, path: str) -> None:
    answer = door.ask(f"/k/{in_path}{path}", BODIES[path])
    assert answer.status_code == 200, answer.text
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert in_path not in answer.text + str(answer.headers)
    assert door.ask(f"/k/{in_path}{path}", BODIES[path], Authorization="Bearer ollama").status_code == 200


def test_what_clients_ask_first_is_served_too(door: Door, in_path: str) -> None:
    for path in ("/api/tags", "/api/version", "/api/ps", "/v1/models", "/v1/models/stub", "/api/tags/", "//api/tags"):
        assert door.ask(f"/k/{in_path}{path}", method="GET").status_code == 200, path
    assert door.ask(f"/k/{in_path}/api/show", {"model": "stub"}).status_code == 200
    for path in ("", "/"):
        answer = door.ask(f"/k/{in_path}{path}", method="GET", Accept="text/html")
        assert (answer.status_code, answer.text) == (200, "Ollama is running")


def test_no_other_key_works_in_the_path(door: Door, in_path: str) -> None:
    made_up = keys.generate().text
    other = door.issue()
    for secret in (other, made_up, "ollama", in_path[:-1] + "!"):
        for path in ("/api/chat", "/v1/chat/completions"):
            answer = door.ask(f"/k/{secret}{path}", CHAT)
            assert answer.status_code == 401, (secret, answer.text)
            assert "not valid" in answer.text
            assert secret not in answer.text
    assert door.ask(f"/k/{in_path}/api/chat", CHAT, key=other).status_code == 401
    assert door.ask("/k/ollama/api/chat", CHAT, key=other).status_code == 401
    assert door.ask(f"/k/{in_path}/api/chat", CHAT, key=in_path).status_code == 200


def test_no_other_path_takes_it(door: Door, in_path: str) -> None:
    for path in ("/admin/", "/api/v1/key", "/api/v1/keys", "/api/v1/usage", "/metrics", "/docs", "/k/x/api/tags", "/x"):
        answer = door.ask(f"/k/{in_path}{path}", method="GET")
        assert answer.status_code == 404, path
        assert in_path not in answer.text
    for path in ("/k", "/k/", "/k//api/tags", f"/K/{in_path}/api/tags", f"/%6b/{in_path}/api/tags", f"//k/{in_path}/x"):
        assert door.ask(path, method="GET").status_code == 404, path
    assert door.ask(f"/k/{in_path}/api/pull", {"model": "x"}).status_code == 403


def test_what_is_no_longer_allowed_ends(door: Door) -> None:
    secret = door.issue("--allow-in-path", "yes")
    assert door.ask(f"/k/{secret}/api/version", method="GET").status_code == 200
    door.change(secret, "--allow-in-path", "no")
    wait_until(lambda: door.ask(f"/k/{secret}/api/version", method="GET").status_code == 401, 5)
    assert door.ask("/api/version", method="GET", key=secret).status_code == 200


def test_no_log_record_or_metric_has_the_key(door: Door, in_path: str) -> None:
    for path in ("/api/chat", "/nothing", "/admin/", "/api/tags/", "/", "/../admin", "/%zz"):
        door.ask(f"/k/{in_path}{path}", CHAT, Referer=f"{door.server.url}/k/{in_path}/")
        door.ask(f"//k/{in_path}{path}", method="GET")
    door.ask(f"/k/{in_path}/api/chat", b"nonsense".decode())
    secret = in_path.split("_")[2][:43]
    scraper = door.issue("--scopes", "metrics,inference")
    assert secret not in door.ask("/metrics", method="GET", key=scraper).text
    assert secret not in door.server.log()
    assert "/k/" not in door.server.log()


def test_a_request_without_a_key_acts_as_the_key_of_its_network(door: Door, stub: StubProcess) -> None:
    assert door.ask("/api/chat", CHAT).status_code == 401
    wider = door.issue("--keyless-networks", "127.0.0.0/8,::1", "--models", "nothing")
    wait_until(lambda: door.ask("/api/chat", CHAT).status_code == 404, 5)
    secret = door.issue("--keyless-networks", "127.0.0.1")
    wait_until(lambda: door.ask("/api/chat", CHAT).status_code == 200, 5)
    for path, body in BODIES.items():
        assert door.ask(path, body).status_code == 200
    assert door.ask("/api/tags", method="GET").status_code == 200
    assert door.ask("/api/tags", method="GET", Sec_Fetch_Mode="cors").status_code == 200  # as Node's fetch does

    # Any credential, and whatever a web page may have caused, stands for itself.
    for headers in (
        {"Authorization": "Bearer ollama"},
        {"X_API_Key": keys.generate().text},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Referer": "https://evil.example/"},
        {"Cookie": "a=b"},
    ):
        assert door.ask("/api/chat", CHAT, **headers).status_code == 401, headers
    assert door.ask("/k/ollama/api/chat", CHAT).status_code == 401

    # No more than inference, and none of the pages and endpoints for keys.
    assert door.ask("/api/pull", {"model": "x"}).status_code == 403
    for path in ("/api/v1/key", "/api/v1/keys", "/api/v1/usage", "/metrics"):
        assert door.ask(path, method="GET").status_code in (401, 403), path

    doctor = door.server.manage("doctor", check=False).stdout
    assert "act as" not in doctor
    listed = json.loads(door.server.manage("listapikeys", "--json").stdout)
    assert ["127.0.0.1/32"] in [row["keyless_networks"] for row in listed] or ["127.0.0.1"] in [
        row["keyless_networks"] for row in listed
    ]

    for one in (secret, wider):
        door.change(one, "--keyless-networks", "")
    wait_until(lambda: door.ask("/api/chat", CHAT).status_code == 401, 5)


def test_the_doctor_warns_of_networks_that_anybody_may_be_in(door: Door) -> None:
    secret = door.issue("--keyless-networks", "203.0.113.0/24", "--routes", "anthropic,/api/version")
    assert "act as" not in door.server.manage("doctor", check=False).stdout
    door.change(secret, "--keyless-networks", "0.0.0.0/0")
    assert "requests without a key from 0.0.0.0/0 act as" in door.server.manage("doctor", check=False).stdout
    door.change(secret, "--keyless-networks", "")


def test_the_api_sets_shows_and_audits_both(door: Door) -> None:
    issuer = door.issue("--scopes", "inference,keys")
    for fields in ({"allow_in_path": True}, {"keyless_networks": ["192.0.2.0/24"]}):
        beyond = door.ask("/api/v1/keys", {"label": "box", **fields}, key=issuer)
        assert (beyond.status_code, beyond.json()["error"]) == (403, "more_than_own")
    manager = door.issue("--scopes", "inference,keys,manage")
    made = door.ask(
        "/api/v1/keys", {"label": "box", "allow_in_path": True, "keyless_networks": ["192.0.2.0/24"]}, key=manager
    )
    assert made.status_code == 201, made.text
    issued = made.json()
    assert (issued["allow_in_path"], issued["keyless_networks"]) == (True, ["192.0.2.0/24"])
    path = f"/api/v1/keys/{issued['id']}"
    twice = door.ask("/api/v1/keys", {"label": "other", "keyless_networks": ["192.0.2.0/24"]}, key=manager)
    assert (twice.status_code, "act as box" in twice.text) == (400, True)
    changed = door.ask(path, {"allow_in_path": False, "keyless_networks": []}, method="PATCH", key=manager)
    assert (changed.json()["allow_in_path"], changed.json()["keyless_networks"]) == (False, [])
    for fields in ({"allow_in_path": True}, {"keyless_networks": ["192.0.2.0/24"]}):
        both = door.ask("/api/v1/keys", {"label": "x", "scopes": ["inference", "keys"], **fields}, key=manager)
        assert both.status_code == 400
        assert "inference alone" in both.text
    bad = door.ask("/api/v1/keys", {"label": "x", "keyless_networks": ["here"]}, key=manager)
    assert bad.status_code == 400
    bound = door.issue("--scopes", "inference,keys,manage", "--addresses", "127.0.0.0/8")
    wide_one = {"label": "x", "addresses": ["127.0.0.1"], "keyless_networks": ["10.0.0.0/8"]}
    assert door.ask("/api/v1/keys", wide_one, key=bound).status_code == 403


def test_the_shim_is_there_for_download(door: Door) -> None:
    answer = door.ask("/shim.py", method="GET")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/x-python; charset=utf-8"
    compile(answer.text, "shim.py", "exec")
    assert "Lends the `ollama` command an API key" in answer.text


# The rules, without a server


@pytest.mark.django_db
@pytest.mark.parametrize("scopes", ["manage", "inference,keys", "inference,manage,metrics"])
@pytest.mark.parametrize("fields", [{"allow_in_path": True}, {"keyless_networks": "10.0.0.0/24"}])
def test_never_for_keys_that_manage(scopes: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="inference alone"):
        Key.objects.issue(label="x", scopes=scopes, **fields)
    key, _ = Key.objects.issue(label="x", **fields)
    key.scopes = scopes
    with pytest.raises(ValidationError, match="inference alone"):
        key.full_clean()


@pytest.mark.django_db
def test_equal_networks_are_refused_and_overlapping_ones_are_not() -> None:
    first, _ = Key.objects.issue(label="first", keyless_networks="10.0.0.0/24, 2001:db8::/64")
    Key.objects.issue(label="second", keyless_networks="10.0.0.0/16")
    with pytest.raises(ValidationError, match=r"10\.0\.0\.0/24 act as first"):
        Key.objects.issue(label="third", keyless_networks="10.0.0.0/24")
    first.full_clean()
    first.revoke()
    Key.objects.issue(label="third", keyless_networks="10.0.0.0/24")


def entry(key_id: str, *networks: str, **fields: Any) -> Entry:
    return Entry(
        bytes(32), Principal(key_id, key_id, **fields), unattended=Unattended(in_path=False, networks=networks)
    )


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("10.1.2.3", "narrow"),
        ("::ffff:10.1.2.3", "narrow"),
        ("10.1.9.9", "wide"),
        ("10.9.9.9", "widest"),
        ("192.0.2.1", None),
        ("2001:db8::1", "six"),
        ("172.16.0.1", None),
        ("192.168.0.1", None),
        ("203.0.113.1", None),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_smallest_network_decides(address: str, found: str | None) -> None:
    ring = KeyRing()
    ring.replace(
        [
            entry("widest", "10.0.0.0/8"),
            entry("narrow", "10.1.2.0/24"),
            entry("wide", "10.1.0.0/16", "2001:db8::/32"),
            entry("six", "2001:db8::/64"),
            entry("one", "172.16.0.0/16"),
            entry("two", "172.16.0.0/16"),
            entry("over", "192.168.0.0/16", expires_at=1.0),
            entry("manages", "203.0.113.0/24", scopes=frozenset({"inference", "manage"})),
        ]
    )
    principal = ring.find_keyless(address, 100.0)
    assert (principal.key_id if principal else None) == found
    ring.drop("narrow")
    ring.put(entry("six", "198.51.100.0/24"))
    assert ring.find_keyless("2001:db8::1", 100.0).key_id == "wide"  # type: ignore[union-attr]  # it is there


@pytest.mark.parametrize(
    ("network", "is_wide"),
    [
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("8.8.8.0/24", True),
        ("10.0.0.0/8", False),
        ("127.0.0.0/8", False),
        ("192.168.0.0/16", False),
        ("2a00::/16", True),
        ("fd00::/64", False),
    ],
)
def test_what_is_wide(network: str, is_wide: bool) -> None:
    assert bool(wide([network])) is is_wide
