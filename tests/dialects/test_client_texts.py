"""What clients read: in production neither an address of the upstream nor the name of a setting; the log has both."""

from __future__ import annotations

import ast
import re
import socket
from collections.abc import Iterator

import pytest
from django.conf import settings

from apikeys import refusals as key_refusals
from benchmarks.stub_client import StubProcess
from gateway.rest import Refusal, without_settings
from gateway.variables import Variables
from proxy import exceptions
from proxy.exceptions import UpstreamError, UpstreamRefusal
from proxy.refusals import too_old, upstream_refusal
from tests.dialects.front import BODIES, FORM, FORM_TYPE, FORMS, House, Keyed, error_of, last_words, opened
from tests.harness import BASE_DIR
from tests.proxy.wire import FakeUpstream, Peer, fake_upstream

NAMES = re.compile(rf"\b(?:{'|'.join(name for name in Variables.model_fields if '_' in name)}|OLLAMA_[A-Z]+)\b")
HOST_AND_PORT = re.compile(r"https?://|\d\.\d+\.\d+\.\d+|localhost|\w:\d{2,5}\b")


@pytest.fixture
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENV", settings.ENV.model_copy(update={"APP_ENV": "production"}))


def all_refusals() -> Iterator[Refusal]:
    """One of each class of refusal, with arguments that would give something away."""
    address = "http://10.1.2.3:11434"
    values = {"address": address, "setting": "UPSTREAM_IDLE_TIMEOUT", "seconds": 2.0, "wait": 9, "limit": 9}
    for module in (exceptions, key_refusals):
        for kind in vars(module).values():
            if not (isinstance(kind, type) and issubclass(kind, Refusal)) or kind is Refusal:
                continue
            named = kind.__init__.__annotations__.keys() - {"return", "why", "what"}
            if kind.__init__ is UpstreamError.__init__:
                yield kind(502, f'Post "{address}/completion": dial tcp [::1]:39001: connection refused')
            elif "exhausted" not in named:  # says a limit's own name
                yield kind(**{name: values.get(name, ["GET"] if name == "allowed" else "word") for name in named})
    for status, body in ((401, b""), (403, b""), (302, b""), (404, b"404 page not found"), (500, b"")):
        yield upstream_refusal(status, body, "m")


def test_no_refusal_tells_a_client_of_settings_or_addresses(production: None) -> None:
    seen = set()
    for refusal in all_refusals():
        text = refusal.client_text("0a1b")
        seen.add(type(refusal))
        assert text.strip(" .:"), refusal.message
        assert not NAMES.search(text), text
        assert not HOST_AND_PORT.search(text), text
        assert "{" not in text
    assert len(seen) > 25


def texts() -> dict[str, str]:
    """All texts in the source of what answers clients that name a setting, with `x` for what is filled in."""
    found = {}
    for app in ("proxy", "apikeys", "usage", "gateway"):
        for path in sorted((BASE_DIR / app).rglob("*.py")):
            if {"management", "migrations", "admin"} & set(path.parts) or path.stem in OPERATORS:
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                text = text_of(node)
                if path.match("gateway/errors.py") and text.startswith("Let the proxy"):
                    continue  # what whoever logs in to the admin has to mend
                if " " in text and NAMES.search(text) and text[0].isupper():
                    found[text] = str(path)
    return found


# Modules that speak to the operator alone: settings, checks, commands, logs, the start.
OPERATORS = {
    *("variables", "env", "envfile", "complaints", "values", "checks", "doctor", "firstrun", "settings", "server"),
    *("backup", "pepper", "chain", "running", "database", "addresses", "openfiles", "secretfiles", "messages"),
    *("keeper", "sole", "account", "accounting", "journal", "redigest", "feed", "reach"),
}


def text_of(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return "" if node.value.count("\n") else node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    return ""


def test_any_text_in_the_source_reads_well_without_settings(production: None) -> None:
    found = texts()
    assert len(found) > 5
    for text, path in found.items():
        said = without_settings(text)
        assert not NAMES.search(said), (path, text)
        assert len(said.split()) > 3, (path, text)
        assert said.count("(") == said.count(")"), (path, said)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("The model is off here (ALLOW_CLOUD).", "The model is off here."),
        ("It is too large (MAX_BODY_BYTES, or this key's own).", "It is too large."),
        ("The Host names no host: add it to ALLOWED_HOSTS.", "The Host names no host."),
        ("Wait. Its operator: see REDIS_URL.", "Wait."),
        ("'ALLOW_CLOUD' is no field here: choose among a, b.", "'ALLOW_CLOUD' is no field here: choose among a, b."),
        ("Nothing (of this kind) is left out: it stays.", "Nothing (of this kind) is left out: it stays."),
    ],
)
def test_what_names_a_setting_is_left_out(message: str, said: str) -> None:
    assert without_settings(message) == said


def test_who_runs_it_at_home_reads_all() -> None:
    assert "OLLAMA_URL" in exceptions.UpstreamUnreachable("http://localhost:11434").client_text()


@pytest.fixture(scope="module")
def lonely(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A production gateway whose Ollama is away."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with opened(stub, keys, APP_ENV="production", TLS="false", OLLAMA_URL=f"http://127.0.0.1:{port}") as house:
        yield house


@pytest.mark.parametrize("path", BODIES)
def test_an_ollama_that_is_away_is_a_model_server_that_is_unavailable(lonely: House, path: str) -> None:
    answer = lonely.ask(path, BODIES[path])
    assert answer.status == 502
    _, text = error_of(path, answer)
    assert text == (
        "The model server is unavailable. The operator finds the reason in the log, under the request ID "
        f"{answer.headers['x-request-id']}."
    )
    reason = lonely.line(answer)["reason"]
    assert "OLLAMA_URL" in reason
    assert "http://127.0.0.1:" in reason


def test_so_it_is_where_lists_are_asked_for(lonely: House) -> None:
    for path in ("/api/tags", "/api/ps", "/api/version", "/v1/models", "/v1/models/stub", "/api/v1/models"):
        answer = lonely.ask(path, method="GET")
        assert answer.status == 502
        assert b"The model server is unavailable." in answer.body
        assert not NAMES.search(answer.body.decode())
        assert not HOST_AND_PORT.search(answer.body.decode())


def test_pages_and_descriptions_name_no_setting(lonely: House) -> None:
    for path in ("/", "/health", "/health/ready", "/api/info", "/api/schema/", "/nowhere", "/api/v1/keys"):
        answer = lonely.ask(path, method="GET", headers={"Accept": "*/*"})
        assert not NAMES.search(answer.body.decode()), path
    wrong = lonely.ask("/health", method="GET", headers={"Host": "elsewhere.example"})
    bad = lonely.ask("/api/chat", BODIES["/api/chat"], headers={"Host": "elsewhere.example"})
    page = lonely.ask("/", method="GET", headers={"Host": "elsewhere.example", "Accept": "text/html"})
    for answer in (wrong, bad, page):
        assert not NAMES.search(answer.body.decode()), answer


RUNNER = b'{"error":"llama runner: Post \\"http://127.0.0.1:39231/completion\\": dial tcp 127.0.0.1:39231: refused"}'


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream(every_path=True) as fake:
        yield fake


@pytest.fixture(scope="module")
def fronted(stub: StubProcess, upstream: FakeUpstream, keys: Keyed) -> Iterator[House]:
    with opened(stub, keys, APP_ENV="production", TLS="false", OLLAMA_URL=upstream.url) as house:
        yield house


def answering(status: int, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages", "/api/embed", "/api/v1/chat"])
def test_addresses_in_ollamas_own_words_stay_here(upstream: FakeUpstream, fronted: House, path: str) -> None:
    upstream.behave = lambda peer: peer.send(answering(500, RUNNER))
    answer = fronted.ask(path, BODIES[path])
    assert answer.status == 500
    text = error_of(path, answer)[1]
    assert text.startswith("llama runner: Post")
    assert not HOST_AND_PORT.search(text), text


def test_so_they_do_in_a_stream(upstream: FakeUpstream, fronted: House) -> None:
    upstream.behave = lambda peer: peer.send(answering(200, RUNNER + b"\n", "application/x-ndjson"))
    answer = fronted.ask("/api/chat", BODIES["/api/chat"])
    text = last_words("/api/chat", answer.body)[1]
    assert text.startswith("llama runner: Post")
    assert not HOST_AND_PORT.search(text), text


def old_ollama(version: bytes, listed: bytes = b'{"models":[]}') -> object:
    """Behaves as an Ollama that has version, tags and nothing else."""

    def behave(peer: Peer) -> None:
        if peer.target == "/api/version":
            peer.send(answering(200, version))
        elif peer.target == "/api/tags":
            peer.send(answering(200, listed))
        else:
            peer.send(answering(404, b"404 page not found", "text/plain"))

    return behave


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/v1/responses", "Ollama 0.9.3 has no /v1/responses; it came with 0.13.3: update it."),
        ("/v1/messages", "Ollama 0.9.3 has no /v1/messages; it came with 0.14.0: update it."),
        ("/api/embed", "Ollama 0.9.3 has no /api/embed: update it."),
        ("/v1/embeddings", "Ollama 0.9.3 has no /v1/embeddings: update it."),
        *((path, "Ollama 0.9.3 has no /v1/audio/transcriptions; it came with 0.20.0: update it.") for path in FORMS),
        ("/api/chat", "The model server is unavailable."),
    ],
)
def test_an_ollama_too_old_for_a_path_is_called_that(
    upstream: FakeUpstream, fronted: House, path: str, words: str
) -> None:
    upstream.behave = old_ollama(b'{"version":"0.9.3"}')
    is_form = path in FORMS
    answer = fronted.ask(
        path, FORM if is_form else BODIES[path], headers={"Content_Type": FORM_TYPE} if is_form else {}
    )
    assert answer.status == 502
    assert words in error_of(path, answer)[1]
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("version", "path", "old"),
    [
        ("0.13.2", "/v1/responses", True),
        ("0.13.3", "/v1/responses", False),
        ("0.13.3-rc1", "/v1/responses", False),
        ("0.14.0", "/v1/responses", False),
        ("1.0", "/v1/messages", False),
        ("0.0.0", "/v1/messages", True),
        ("", "/v1/messages", False),
        ("0.1.2", "/api/generate", False),
    ],
)
def test_old_is_what_comes_before(version: str, path: str, old: bool) -> None:
    assert (too_old(version, path) is not None) is old


@pytest.mark.parametrize("version", [b"", b"nonsense", b'{"version":1}', b'{"version":"<b>"}', b'{"error":"x"}'])
def test_what_tells_no_version_is_no_old_ollama(
    upstream: FakeUpstream, keys: Keyed, stub: StubProcess, version: bytes
) -> None:
    with opened(stub, keys, OLLAMA_URL=upstream.url) as house:
        upstream.behave = old_ollama(version)
        answer = house.ask("/v1/responses", BODIES["/v1/responses"])
    assert "correct OLLAMA_URL" in error_of("/v1/responses", answer)[1]


def test_a_model_that_is_not_there_is_said_before_the_scope_that_a_pull_needs(house: House) -> None:
    for body in ({"model": "missing"}, {"name": "missing", "stream": False}):
        shown = house.ask("/api/show", body)
        assert shown.status == 404
        answer = house.ask("/api/pull", body)
        text = error_of("/api/pull", answer)[1]
        assert answer.status == 403
        assert text.startswith("model 'missing' not found")
        assert "needs the scope 'manage'" in text
        assert text.index("not found") < text.index("manage")
    hidden = house.ask("/api/pull", {"model": "secret"}, who="stubs")
    assert error_of("/api/pull", hidden)[1].startswith("model 'secret' not found")
    for body in ({"model": "stub"}, {"model": "stub:latest"}, {"model": 1}, {}, b"nonsense", {"model": "x" * 20_000}):
        answer = house.ask("/api/pull", body)
        assert answer.status == 403
        assert error_of("/api/pull", answer)[1].startswith("This key lacks the scope 'manage'")
    assert not [request for request in house.reached() if request.target == "/api/pull"]


def test_an_unload_that_was_not_done_says_so(house: House) -> None:
    for path in ("/api/generate", "/api/chat", "/api/v1/generate", "/api/v1/chat"):
        field = "messages" if path.endswith("chat") else "prompt"
        empty: object = [] if field == "messages" else ""
        for stream in (True, False):
            answer = house.ask(path, {"model": "stub", field: empty, "keep_alive": 0, "stream": stream})
            if answer.status == 400:
                continue  # the gateway's own endpoints want a prompt
            assert b'"done_reason":"unload"' in answer.body
            assert "unload not done" in answer.headers["x-gateway-changed"]
    assert house.reached() == []


def test_refusals_of_ollama_keep_what_is_no_address() -> None:
    for text in ("model 'hf.co/me/m:7b' not found", "the input length exceeds 4096: 5000", "at 12:30 nothing"):
        assert UpstreamRefusal(400, text).public == text
