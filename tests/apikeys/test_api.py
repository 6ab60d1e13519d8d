"""`/api/v1/keys` and `/api/v1/key`: the life of a key through the API, and the bounds of who may do what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from apikeys import keys as texts
from benchmarks.stub_client import StubProcess
from tests.apikeys.dialects import ask
from tests.harness import GatewayServer, wait_until


class Keys:
    """The API as one key sees it."""

    def __init__(self, server: GatewayServer, secret: str) -> None:
        self.server = server
        self.secret = secret

    def __call__(self, method: str, path: str = "/api/v1/keys", **how: Any) -> httpx.Response:
        headers = {"X-API-Key": self.secret}
        return httpx.request(method, f"{self.server.url}{path}", headers=headers, timeout=10, **how)

    def issue(self, **fields: Any) -> dict[str, Any]:
        answer = self("POST", json={"label": "made", **fields})
        assert answer.status_code == 201, answer.text
        issued: dict[str, Any] = answer.json()
        return issued

    def one(self, method: str, issued: dict[str, Any], rest: str = "", **how: Any) -> httpx.Response:
        return self(method, f"/api/v1/keys/{issued['id']}{rest}", **how)


@pytest.fixture(scope="module")
def make_keys(gateway: GatewayServer) -> Callable[..., Keys]:
    """Makes the API of a key that is issued with these options of createapikey."""

    def make(*options: str) -> Keys:
        return Keys(gateway, gateway.manage("createapikey", "asks", "--quiet", *options).stdout.strip())

    return make


@pytest.fixture(scope="module")
def manager(make_keys: Callable[..., Keys]) -> Keys:
    """A key that may issue others for inference."""
    return make_keys("--scopes", "inference,keys")


def test_a_key_is_issued_shown_changed_rotated_and_revoked(manager: Keys, gateway: GatewayServer) -> None:
    issued = manager.issue(label="Ana", models=["mistral", "me/*"], limits={"requests_per_minute": 5}, note="on Monday")
    secret = issued.pop("key")
    assert texts.parse(secret).id == issued["id"]
    assert ask(gateway, secret).status_code == 200
    assert manager.one("GET", issued).json() == {**issued, "last_used": None}
    assert issued["models"] == ["mistral", "me/*"]
    assert issued["limits"] == {"requests_per_minute": 5}

    changed = manager.one("PATCH", issued, json={"models": ["other"], "limits": {"requests_per_minute": None}})
    assert (changed.json()["models"], changed.json()["limits"], changed.json()["note"]) == (["other"], {}, "on Monday")
    wait_until(lambda: ask(gateway, secret).status_code == 404, 1.0)

    rotated = manager.one("POST", issued, "/rotate", json={"grace": 600}).json()
    assert {ask(gateway, one, model="other").status_code for one in (secret, rotated["key"])} == {200}
    assert rotated["old_secret_until"]

    assert manager.one("PATCH", issued, json={"enabled": False}).json()["state"] == "disabled"
    wait_until(lambda: ask(gateway, rotated["key"], model="other").status_code == 401, 1.0)
    assert manager.one("DELETE", issued).json()["state"] == "revoked"
    assert manager.one("PATCH", issued, json={"label": "back"}).status_code == 409
    assert manager.one("POST", issued, "/rotate").status_code == 409


@pytest.mark.parametrize(
    "body",
    [
        b'{"label":"a","label":"b"}',
        b'{"label":"a","scopes":["inference"],"scopes":["inference","keys"]}',
        b'{"label":"a","limits":{"tokens_per_day":1,"tokens_per_day":100}}',
        b'{"label":"a","\\u006cabel":"b"}',
        b'{"label":"a"} {"label":"b"}',
    ],
)
def test_a_body_that_can_be_read_in_two_ways_is_refused(manager: Keys, body: bytes) -> None:
    some = manager.issue()
    before = [key["id"] for key in manager("GET").json()["keys"]]
    issued = manager("POST", content=body)
    assert (issued.status_code, issued.json()["error"]) == (400, "bad_request"), issued.text
    assert "stands twice" in issued.text or "Extra data" in issued.text
    assert [key["id"] for key in manager("GET").json()["keys"]] == before
    assert manager("PATCH", f"/api/v1/keys/{some['id']}", content=body).status_code == 400
    assert manager("POST", f"/api/v1/keys/{some['id']}/rotate", content=b'{"grace":0,"grace":9}').status_code == 400
    assert manager("PATCH", "/api/v1/limits/team:a", content=b'{"concurrency":1,"concurrency":2}').status_code == 400


def test_a_label_is_what_it_was_given_as(manager: Keys, gateway: GatewayServer) -> None:
    issued = manager.issue(label="👩\u200d💻 山田\u3000太郎", team="می\u200cشد")
    assert (issued["label"], issued["team"]) == ("👩\u200d💻 山田\u3000太郎", "می\u200cشد")
    assert "👩\u200d💻 山田\u3000太郎" in gateway.manage("listapikeys").stdout
    assert manager("POST", json={"label": "a\u202eb"}).status_code == 400
    assert manager.issue(label="caf")["label"] == "caf"
    assert manager("POST", content=b'{"label":"caf\xe9"}').json()["label"] == "caf\ufffd"


def test_a_secret_is_in_the_answer_that_issues_it_and_in_no_other(manager: Keys) -> None:
    issued = manager.issue()
    answer = manager("GET")
    for text in (answer.text, manager.one("GET", issued).text):
        assert issued["key"].split("_")[2] not in text
    assert manager.one("GET", issued).headers["Cache-Control"] == "no-store"


def test_any_key_is_told_what_it_is_and_may_do(make_keys: Callable[..., Keys]) -> None:
    own = make_keys("--models", "mistral", "--team", "research", "--note", "secret note", "--tokens-per-day", "100")
    told = own("GET", "/api/v1/key").json()
    assert (told["models"], told["team"], told["limits"]) == (["mistral"], "research", {"tokens_per_day": 100})
    assert (told["state"], told["scopes"]) == ("active", ["inference"])
    assert "note" not in told
    assert own("GET").status_code == 403
    bound = make_keys("--routes", "ollama")
    assert bound("GET", "/api/v1/key").status_code == 200
    assert make_keys("--addresses", "192.0.2.1")("GET", "/api/v1/key").status_code == 403


def test_keys_are_listed_in_pages_the_newest_first(manager: Keys) -> None:
    made = [manager.issue(label=f"page {number}", team="paged")["id"] for number in range(5)]
    path: str | None = "/api/v1/keys?team=paged&page_size=2"
    seen = []
    while path:
        answer = manager("GET", path).json()
        seen.append([key["id"] for key in answer["keys"]])
        path = answer["next"]
    assert seen == [made[:2:-1], made[2:0:-1], made[:1]]


@pytest.mark.parametrize(
    ("own", "fields", "excess"),
    [
        (("--scopes", "keys"), {}, "scopes inference"),
        (("--scopes", "inference,keys"), {"scopes": ["inference", "manage"]}, "scopes manage"),
        (("--models", "mistral*"), {}, "models"),
        (("--models", "mistral*"), {"models": ["mistral", "*"]}, "models"),
        (("--routes", "openai"), {"routes": ["ollama"]}, "routes"),
        (("--addresses", "127.0.0.0/8"), {"addresses": ["0.0.0.0/0"]}, "addresses"),
        (("--addresses", "127.0.0.0/8"), {"addresses": ["::/0"]}, "addresses"),
        (("--body-limit", "5000"), {}, "body_limit"),
        (("--scopes", "inference,keys"), {"context_window": ["*=9000"]}, "context windows, which take the scope"),
        (("--context-window", "*=4096"), {}, "context windows beyond"),
        (("--context-window", "*=4096"), {"context_window": ["*=8192"]}, "context windows beyond"),
        (("--expires", "30d"), {}, "end after its own"),
        (("--tokens-per-day", "100"), {"limits": {"tokens_per_day": 101}}, "tokens_per_day"),
        (("--tokens-per-day", "100"), {}, "tokens_per_day"),
        (("--team", "research"), {"team": "other"}, "another team"),
    ],
    ids=str,
)
def test_a_key_gives_no_more_than_it_has(
    make_keys: Callable[..., Keys], own: tuple[str, ...], fields: dict[str, Any], excess: str
) -> None:
    scopes = () if own[0] == "--scopes" else ("--scopes", "inference,keys")
    routes = () if own[0] != "--routes" else ("--routes", "openai,/api/v1/keys*")
    asking = make_keys(*(routes or own), *scopes)
    answer = asking("POST", json={"label": "more", **fields})
    assert answer.status_code == 403, answer.text
    assert answer.json()["error"] == "more_than_own"
    assert excess in answer.json()["message"]


def test_a_bound_key_gives_what_is_within_its_bounds(make_keys: Callable[..., Keys]) -> None:
    asking = make_keys("--scopes", "inference,keys", "--models", "mistral*,me/*", "--team", "research")
    issued = asking.issue(models=["mistral:7b", "me/mine", "mistral*"])
    assert issued["team"] == "research"
    # It sees its own team's keys, and nobody else's.
    assert {key["team"] for key in asking("GET").json()["keys"]} == {"research"}


def test_a_key_touches_none_that_has_more(make_keys: Callable[..., Keys], gateway: GatewayServer) -> None:
    asking = make_keys("--scopes", "inference,keys")
    stronger = {"id": texts.find_id(make_keys("--scopes", "inference,manage,keys").secret)}
    assert asking.one("GET", stronger).status_code == 200
    for method, rest in (("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        answer = asking.one(method, stronger, rest, json={})
        assert (answer.status_code, answer.json()["error"]) == (403, "more_than_own")
    weaker = asking.issue()
    raised = asking.one("PATCH", weaker, json={"scopes": ["inference", "manage"]})
    assert raised.status_code == 403
    assert asking.one("GET", weaker).json()["scopes"] == ["inference"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"label": ""}, "label"),
        ({"lable": "x"}, "'lable' is no field"),
        ({"scopes": ["root"]}, "Unknown scope 'root'"),
        ({"models": ["a b"]}, "models"),
        ({"models": "mistral"}, "models"),
        ({"addresses": ["10.0.0.300"]}, "addresses"),
        ({"routes": ["soap"]}, "'soap'"),
        ({"expires": "2001-01-01T00:00:00Z"}, "passed"),
        ({"owner": "nobody-here"}, "nobody-here"),
        ({"limits": {"requests_per_minute": -1}}, "requests_per_minute"),
    ],
    ids=str,
)
def test_what_is_no_key_is_said_to_be_none(manager: Keys, fields: dict[str, Any], says: str) -> None:
    answer = manager("POST", json={"label": "wrong", **fields})
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"'])
def test_a_body_that_is_no_object_is_refused(manager: Keys, body: bytes) -> None:
    assert manager("POST", content=body).status_code == 400


def test_no_key_no_answer(gateway: GatewayServer) -> None:
    for method, path in (("GET", "/api/v1/keys"), ("POST", "/api/v1/keys"), ("GET", "/api/v1/key")):
        answer = httpx.request(method, f"{gateway.url}{path}")
        assert answer.status_code == 401
        assert answer.json()["error"] == "unauthorized"
    assert httpx.get(f"{gateway.url}/api/v1/keys/nobodynobody", headers=gateway.headers).status_code == 403


def test_an_unknown_id_is_404(manager: Keys) -> None:
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate")):
        assert manager.one(method, {"id": "nobodynobody"}, rest, json={}).status_code == 404


def test_the_audit_trail_names_the_key_that_did_it(manager: Keys, gateway: GatewayServer, stub: StubProcess) -> None:
    issued = manager.issue(label="audited")
    said = gateway.manage(
        "shell", "-v", "0", "-c", "from apikeys.models import AuditEntry as E; e = E.objects.first();"
        "print(e.actor, e.address, e.action, e.key_id)",
    ).stdout  # fmt: skip
    assert said.split() == ["key", "asks", f"({texts.find_id(manager.secret)})", "127.0.0.1", "issued", issued["id"]]


@pytest.mark.parametrize(
    ("method", "path", "body", "word"),
    [
        ("POST", "", {"label": "x", "limits": {"tokens_totl": 5}}, "tokens_totl"),
        ("POST", "", {"label": "x", "scope": ["inference"]}, "scope"),
        ("POST", "", {"label": "x", "team": "a\nb"}, "visible characters"),
        ("POST", "", {"label": "x", "team": "a\x1b[31m"}, "visible characters"),
        ("POST", "/{id}/rotate", {"grce": 0}, "grce"),
        ("PATCH", "/{id}", {"limit": {}}, "limit"),
        ("GET", f"?page_size={'9' * 5000}", None, "from 1 to 500"),
        ("GET", "?page_size=0", None, "from 1 to 500"),
        ("GET", "?taem=lab", None, "'taem' is no parameter"),
        ("GET", "?team=%00", None, "NUL"),
        ("GET", "/%00", None, "NUL"),
    ],
)
def test_a_slip_of_the_pen_is_told_and_does_nothing(
    manager: Keys, method: str, path: str, body: dict[str, Any] | None, word: str
) -> None:
    issued = manager.issue()
    answer = manager(method, f"/api/v1/keys{path.format(id=issued['id'])}", json=body)
    assert answer.status_code == 400
    assert word in answer.json()["message"]
    assert manager.one("GET", issued).json() == {name: value for name, value in issued.items() if name != "key"}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/api/v1/key", "GET"), ("/api/v1/keys", "GET, POST"), ("/api/v1/keys/x", "GET, PATCH, DELETE")],
)
def test_options_says_which_methods_there_are(manager: Keys, path: str, allowed: str) -> None:
    answer = manager("OPTIONS", path)
    assert answer.status_code == 200
    assert set(allowed.split(", ")) < set(answer.headers["Allow"].split(", "))
