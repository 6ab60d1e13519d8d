"""Ollama's whole list of routes: what of it a key reaches, and that nothing else ever arrives there."""

from __future__ import annotations

import itertools

import pytest

from proxy.routes import ROUTES
from tests.dialects.front import BODIES, DIGEST, FORM, FORM_TYPE, FORMS, MANAGE_BODIES, House, name_of, upstream_path

BLOB = f"/api/blobs/{DIGEST}"
# All of Ollama's routes, those of earlier versions included, by what the gateway does with them.
INFERENCE = {("POST", path): f"POST {upstream_path(path)}" for path in (*BODIES, *FORMS)} | {
    ("GET", "/api/tags"): "GET /api/tags",
    ("HEAD", "/api/tags"): "GET /api/tags",
    ("GET", "/api/ps"): "GET /api/ps",
    ("GET", "/api/version"): "GET /api/version",
    ("HEAD", "/api/version"): "HEAD /api/version",
    ("GET", "/v1/models"): "GET /v1/models",
    ("GET", "/v1/models/stub"): "GET /v1/models",
    ("GET", "/api/v1/models"): "GET /v1/models",
    ("GET", "/api/v1/models/stub"): "GET /v1/models",
}
MANAGE = {("POST", path): f"POST {path}" for path in MANAGE_BODIES if path != "/api/delete"} | {
    ("DELETE", "/api/delete"): "DELETE /api/delete",
    ("HEAD", BLOB): f"HEAD {BLOB}",
    ("POST", BLOB): f"POST {BLOB}",
}
# Answered here: an estimate of tokens, whether the cloud is on, and that Ollama is running.
LOCAL = {("POST", "/v1/messages/count_tokens"), ("GET", "/api/status"), ("GET", "/"), ("HEAD", "/"), ("OPTIONS", "/")}
NEVER = [
    "/api/me",
    "/api/signout",
    "/api/user/keys/abc",
    "/api/experimental/web_search",
    "/api/experimental/web_fetch",
    "/api/experimental/model-recommendations",
    "/api/experimental/aliases",
    "/v1/audio/translations",
    "/v1/audio/speech",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/images/variations",
    "/v1/moderations",
    "/v1/files",
    "/v1/chat/completions/x",
    "/v1/responses/resp_1",
    "/api/blobs",
    "/api/blobs/",
    "/api/blobs/sha256:0a",
    "/debug/pprof/",
    "/api",
    "/v1",
    "/_stub/requests",
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]


def body_of(method: str, path: str) -> object:
    if method in ("GET", "HEAD", "OPTIONS", "TRACE"):
        return None
    if path == BLOB:
        return b"a file"
    if path in FORMS:
        return FORM
    return BODIES.get(path) or MANAGE_BODIES.get(path) or BODIES["/v1/messages"]


def test_every_row_of_the_table_is_tried_here() -> None:
    samples = {"{id}": "stub", "{digest}": DIGEST}
    rows = set()
    for route in ROUTES:
        path = route.path
        for parameter, sample in samples.items():
            path = path.replace(parameter, sample)
        rows.add((route.method, path))
    assert rows <= {*INFERENCE, *MANAGE, *LOCAL}


@pytest.mark.parametrize(("method", "path"), INFERENCE)
def test_an_ordinary_key_reaches_inference_and_lists(house: House, method: str, path: str) -> None:
    headers = {"Content_Type": FORM_TYPE} if path in FORMS else {}
    # What is said of a model is kept for seconds, so this one is asked for nowhere else.
    body = {"model": "stub-of-routes"} if path == "/api/show" else body_of(method, path)
    answer = house.ask(path, body, method=method, headers=headers)
    assert answer.status == 200
    assert INFERENCE[method, path] in [name_of(request) for request in house.stub.requests()]


@pytest.mark.parametrize(("method", "path"), MANAGE)
def test_only_a_key_that_manages_reaches_what_changes_the_box(house: House, method: str, path: str) -> None:
    for who in ("user", "stubs"):
        answer = house.ask(path, body_of(method, path), method=method, who=who)
        assert answer.status == 403
        assert b"manage" in answer.body or method == "HEAD"
    assert house.reached() == []
    answer = house.ask(path, body_of(method, path), method=method, who="manager")
    assert answer.status == (404 if method == "HEAD" else 201 if path == BLOB else 200)
    assert [name_of(request) for request in house.reached()] == [MANAGE[method, path]]


@pytest.mark.parametrize(("method", "path"), [*INFERENCE, *MANAGE])
def test_nothing_is_reached_without_a_key(house: House, method: str, path: str) -> None:
    for headers in (
        {},
        {"X_API_Key": "ollama_nonsense"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic eDp4"},
    ):
        answer = house.ask(path, body_of(method, path), method=method, who="nobody", headers=headers)
        assert answer.status == 401
        assert "bearer" in answer.headers["www-authenticate"].lower()
    assert house.reached() == []


@pytest.mark.parametrize("who", ["user", "manager"])
@pytest.mark.parametrize("method", METHODS)
def test_everything_else_is_answered_here(house: House, method: str, who: str) -> None:
    known = {*INFERENCE, *MANAGE, *LOCAL}
    paths = sorted({path for _, path in known} | set(NEVER))
    for path in paths:
        if (method, path) in known:
            continue
        answer = house.ask(path, body_of(method, path), method=method, who=who)
        if path.startswith("/api/blobs/") and answer.status == 403:
            continue  # a key that may not manage hears so before its digest is looked at
        assert answer.status in (404, 405), (method, path, answer)
        assert method == "HEAD" or answer.headers["content-type"].startswith("application/json"), path
        if answer.status == 405:
            assert set(answer.headers["allow"].split(", ")) >= {verb for verb, row in known if row == path}
    assert house.reached() == []


def test_a_preflight_is_answered_here(house: House) -> None:
    headers = {"Origin": "https://app.example", "Access_Control_Request_Method": "POST"}
    for path in (*BODIES, *MANAGE_BODIES, *NEVER):
        answer = house.ask(path, method="OPTIONS", who="nobody", headers=headers)
        assert answer.status in (200, 404)
        assert answer.body == b"" or answer.status == 404
    assert house.reached() == []


def test_the_cli_finds_ollama_running(house: House) -> None:
    for method, who in itertools.product(("GET", "HEAD"), ("user", "nobody")):
        answer = house.ask("/", method=method, who=who)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.headers["content-length"] == str(len("Ollama is running"))
        assert answer.body == (b"" if method == "HEAD" else b"Ollama is running")


def test_a_browser_finds_a_page(house: House) -> None:
    answer = house.ask("/", method="GET", who="nobody", headers={"Accept": "text/html,application/xhtml+xml"})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
