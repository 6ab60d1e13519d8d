"""Tricks with bodies, names, headers and paths: none gets a key to a model or a route that it may not use.

What counts is what reached the stub, which reads JSON as Go does: regardless of case, the last of duplicates winning.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from benchmarks.stub import gojson, names
from benchmarks.stub_client import Recorded
from gateway import strictjson
from tests.dialects.front import BODIES, DIGEST, MANAGE_BODIES, House, error_of, name_of, upstream_path
from tests.proxy.wire import Client

# The stub has every model that it is asked for; these keys may use `stub*`.
FORBIDDEN = "secret"
MODEL_FIELDS = ("model", "name", "source", "destination", "from")

# Which of them Ollama reads; everywhere else it is `model` alone.
READ = {
    **dict.fromkeys(("/api/show", "/api/pull", "/api/push", "/api/delete"), ("model", "name")),
    "/api/create": ("model", "name", "from"),
    "/api/copy": ("source", "destination"),
}
# Where it reads tools.
TOOLS = ("/chat", "/chat/completions", "/responses", "/messages")

SPELLINGS = [
    "secret",
    "SECRET",
    "secret:latest",
    "secret:local",
    "library/secret",
    "registry.ollama.ai/library/secret",
    "https://registry.ollama.ai/library/secret:latest",
    " secret\t",
    "stub-alias",
    "STUB-Alias ",
    "me/stub",
    "evil.example/library/stub",
    "http://evil.example:80/me/stub",
    "../stub",
    "stub/../secret",
    "stub/secret",
    "stub\u0000secret",
    "stub,secret",
    "stub secret",
    "\u017ftub",
    "stub@sha256:00",
    "stub#secret",
    "stub:cloud",
    "stub:Cloud",
    "stub:120b-cloud",
    "stub:120b-CLOUD",
    "stub:120b:cloud",
    "library/stub:cloud",
    "cheap",
    "stub-remote",
    "STUB-Remote:LATEST",
    "library/stub-remote",
    "https://registry.ollama.ai/library/stub-remote",
    "stub-remote:local",
]


def dumped(body: object) -> bytes:
    return json.dumps(body).encode()


def appended(body: dict[str, Any], pairs: bytes) -> bytes:
    """A body with more members at its end, such as a JSON library would never write."""
    return dumped(body)[:-1] + b"," + pairs + b"}"


def prepended(body: dict[str, Any], pairs: bytes) -> bytes:
    return b"{" + pairs + b"," + dumped(body)[1:]


def named(body: dict[str, Any], name: object) -> dict[str, Any]:
    """A body with another model in each field that names one."""
    return {key: name if key in MODEL_FIELDS else value for key, value in body.items()}


def zstandard(data: bytes) -> bytes:
    """A zstd frame with one raw block, which every decoder takes."""
    assert len(data) < 256
    return b"\x28\xb5\x2f\xfd\x20" + bytes([len(data)]) + (len(data) << 3 | 1).to_bytes(3, "little") + data


def bodies(body: dict[str, Any]) -> Iterator[bytes]:
    """Bodies that name a forbidden model one way or another."""
    secret = named(body, FORBIDDEN)
    for spelling in SPELLINGS:
        yield dumped(named(body, spelling))
    for value in (["secret"], {"model": "secret"}, 5, True, ["stub", "secret"]):
        yield dumped(named(body, value))
    fields = [name for name in body if name in MODEL_FIELDS] or ["model"]
    for name in fields:
        for variant in {name.upper(), name.title(), name.swapcase(), name.replace("s", "\u017f")} - {name}:
            yield appended(body, dumped(variant) + b':"secret"')
            yield prepended(body, dumped(variant) + b':"secret"')
            yield dumped(
                {variant if key == name else key: FORBIDDEN if key == name else value for key, value in body.items()}
            )
        key = dumped(name)
        escaped = b'"\\u%04x%s"' % (ord(name[0]), name[1:].encode())
        for twice in (key, escaped, escaped.replace(b"\\u00", b"\\u00").upper().replace(b"\\U", b"\\u")):
            yield appended(body, twice + b':"secret"')
            yield prepended(body, twice + b':"secret"')
    yield appended(body, b'"name":"secret"')
    yield appended(body, b'"NAME":"secret"')
    yield dumped(body) + dumped(secret)
    yield dumped(body) + b"\n" + dumped(secret)
    yield dumped(body) + b"\x00"
    yield dumped(body) + b"]"
    yield b"\xef\xbb\xbf" + dumped(secret)
    yield dumped(secret).replace(b"secret", b"\xffsecret")
    yield appended(body, b'"mod\xffel":"secret"')
    yield appended(body, b'"mod\\ud800el":"secret"')
    yield dumped([secret])
    yield b"[" + dumped(body) + b"," + dumped(secret) + b"]"
    yield dumped(json.dumps(secret))
    yield json.dumps(secret).encode("utf-16")
    yield json.dumps(secret).encode("utf-16-le")
    yield json.dumps(secret).encode("utf-32")
    yield appended(body, b'"options":{"num_ctx":1,"num_ctx":2}')
    yield appended(body, b'"x":[{"a":{"b":1,"b":2}}]')
    yield appended(body, b'"x":NaN')
    yield appended(body, b'"x":' + b"[" * 300 + b"]" * 300)
    yield b"model=secret&prompt=x"
    yield b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nsecret\r\n--x--\r\n'
    for kind in ("web_search", "WEB_SEARCH", "web_search_20250305", "web_fetch"):
        yield dumped({**body, "tools": [{"type": kind, "name": "web_search"}]})
    yield appended(body, b'"tools":[{"type":"function","Type":"web_search"}]')
    yield appended(body, b'"tools":[{"TYPE":"web_search"}]')
    yield appended(body, b'"Tools":[{"type":"web_search"}]')
    yield appended(body, b'"TOOL\xc5\xbf":[{"type":"web_search"}]')
    yield dumped({**body, "remote_host": "https://evil.example"})


def headers(body: dict[str, Any]) -> Iterator[tuple[bytes, dict[str, str]]]:
    """Bodies and headers that belong together."""
    secret = dumped(named(body, FORBIDDEN))
    small = secret if len(secret) < 256 else dumped({"model": FORBIDDEN})
    for encoding, coded in (
        ("gzip", gzip.compress(secret)),
        ("GZIP", gzip.compress(secret)),
        ("x-gzip", gzip.compress(secret)),
        ("deflate", zlib.compress(secret)),
        ("zstd", zstandard(small)),
        ("br", secret),
        ("identity, gzip", gzip.compress(secret)),
        ("gzip, identity", gzip.compress(secret)),
        ("identity", secret),
        (" ", secret),
    ):
        yield coded, {"Content_Encoding": encoding}
    # An underscore is written as it is: a header of another name.
    yield gzip.compress(secret), {"Content_Type": "application/gzip"}
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ):
        yield secret, {"Content_Type": kind}
    for name in ("X_HTTP_Method_Override", "X_Method_Override", "X_HTTP_Method"):
        for method in ("DELETE", "GET", "PUT"):
            yield secret, {name: method}
    for name in ("X_Original_URL", "X_Rewrite_URL", "X_Forwarded_Prefix", "X_Original_URI"):
        yield secret, {name: "/api/pull"}
    yield secret, {"X_Model": "stub", "Model": "stub"}


TRICKS = {**BODIES, **MANAGE_BODIES}


@pytest.mark.parametrize("path", TRICKS)
def test_no_trick_with_a_body_reaches_a_forbidden_model(house: House, path: str) -> None:
    method = "DELETE" if path == "/api/delete" else "POST"
    body = TRICKS[path]
    who = "keeper" if path in MANAGE_BODIES else "stubs"
    tried = 0
    for raw in bodies(body):
        house.ask(path, raw, method=method, who=who)
        tried += 1
    for raw, fields in headers(body):
        house.ask(path, raw, method=method, who=who, headers=fields)
        tried += 1
    assert tried > 100
    harmless = house.ask(path, body, method=method, who=who)
    assert harmless.status == 200, harmless
    reached = asked_for(house)
    assert reached
    for request in reached:
        check(request, method, path)


def asked_for(house: House) -> list[Recorded]:
    """What reached the stub because a client asked for it; the window of a model is read from `/api/ps` too."""
    return [request for request in house.reached() if name_of(request) != "GET /api/ps"]


def check(request: Recorded, method: str, path: str) -> None:
    """Fails unless what reached the stub is the route that was asked, with a permitted model, written canonically."""
    assert (request.method, request.target) == (method, upstream_path(path))
    assert request.header("Content-Encoding") is None
    assert orjson.dumps(strictjson.parse(request.body)) == request.body
    understood = gojson.decode(request.body, "")
    for name in (name for name in MODEL_FIELDS if name in READ.get(path, ("model",))):
        text = understood.text(name)
        if text:
            model = names.parse(text)
            assert model.short.lower().startswith("stub"), request.body
            assert not model.remote, request.body
    assert not understood.text("remote_host")
    for tool in understood.list("tools") if path.endswith(TOOLS) else ():
        assert not isinstance(tool, gojson.Struct) or not tool.text("type").lower().startswith("web_")


def test_what_a_forbidden_model_is_called_makes_no_difference(house: House) -> None:
    """A model that the key may not use can't be told from one that does not exist."""
    for path in BODIES:
        answers = {
            house.ask(path, named(BODIES[path], name), who=who)
            .body.replace(name.encode(), b"X")
            .split(b"request_id")[0]
            for name, who in (("secret", "stubs"), ("missing", "stubs"))
        }
        assert len(answers) == 1, path
    assert house.reached() == []


PATHS = [
    "/v1/models/..%2F..%2Fapi%2Fps",
    "/v1/models/%2e%2e%2f%2e%2e%2fapi%2fps",
    "/v1/models/../../api/ps",
    "/v1/models/..",
    "/v1/models/stub%3Fx=1",
    "/v1/models/stub%23x",
    "/v1/models/stub%00",
    "/v1/models/stub%0d%0aX-Evil:%201",
    "/v1/models/secret",
    "/v1/models/library%2Fsecret",
    "/v1/models/library/secret",
    "/v1/models/stub-remote",
    "/v1/models/stub:cloud",
    "/v1/models//",
    "/api/v1/models/..%2F..%2F..%2Fapi%2Fps",
    f"/api/blobs/..%2F..%2Fapi%2Fdelete%3F{DIGEST}",
    f"/api/blobs/{DIGEST}%2F..%2F..%2Fme",
    f"/api/blobs/{DIGEST}/",
    f"/api/blobs/{DIGEST.upper()}",
    f"/api/blobs/x/../{DIGEST}",
    "/api/blobs/%2e%2e",
    "///api/ps",
    "/api///ps",
    "/api/ps//",
    "/api/./ps",
    "//api/./ps",
    "//api/../api/ps",
    "//%61pi/ps",
    "/%2Fapi/ps",
    "/api%2F/ps",
    "/api/%2Fps",
    "/api/ps%2F",
    "/api/ps/%2F",
    "/api/ps/%00",
    "//evil.example/api/ps",
    "/api/../api/ps",
    "/x/../api/ps",
    "/api/ps/.",
    "/api/ps/./",
    "/api/ps/..//ps",
    "/api/ps;/",
    "/api/PS/",
    "\\/api/ps",
    "/api/ps;x",
    "/api/ps%20",
    "/api/ps%3Fx",
    "/api/ps%00",
    "/api/%70s",
    "/%61pi/ps",
    "/api%2Fps",
    "/api%5Cps",
    "/api\\ps",
    "/API/ps",
    "/api/PS",
    "/Api/Ps",
    "/v1/../api/ps",
    "/health/../api/ps",
    "/health/..%2Fapi/ps",
    "/static/../api/ps",
    "/static/..%2Fapi%2Fps",
    "/admin/../api/ps",
    "/api/me",
    "/api/v1/api/ps",
    "/api/v1/../ps",
    "/v1/chat/completions/%2e",
    "/api/v1//api/ps",
    "/v1/api/ps/",
    "/%2e/api/ps",
    "/.%2fapi%2fps",
    "*",
    "http://evil.example/api/me",
    "http://127.0.0.1//api/ps",
    "api/ps",
]


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE", "OPTIONS"])
def test_no_spelling_of_a_path_reaches_another_route(house: House, method: str) -> None:
    for path in PATHS:
        for who in ("stubs", "keeper"):
            with Client(house.server) as client:
                client.key = house.keys[who]
                client.ask(path, BODIES["/api/chat"] if method in ("POST", "DELETE") else None, method=method)
                head = client.head()
                people = path.startswith("/admin") and head.status == 302  # to the page where people log in
                asked = method == "OPTIONS" and head.status == 200
                assert head.status in (400, 403, 404, 405) or people or asked, (path, head)
    targets = {name_of(request) for request in house.reached()}
    assert targets <= {"GET /v1/models"}


# Each with one slash too many at a place, and the row that it means.
SLASHES = {
    "/api/tags/": "/api/tags",
    "//api/tags": "/api/tags",
    "//api/tags/": "/api/tags",
    "/api//tags": "/api/tags",
    "//api//ps/": "/api/ps",
    "/v1/models/": "/v1/models",
    "//v1/models": "/v1/models",
    "/v1//models": "/v1/models",
    "/api/v1/models/": "/api/v1/models",
    "/v1/models/stub/": "/v1/models/{id}",
    "/v1/models//stub": "/v1/models/{id}",
    "/v1/models//stub/": "/v1/models/{id}",
    "//v1/models/stub": "/v1/models/{id}",
    "//v1//models/stub/": "/v1/models/{id}",
}


def spellings_of(path: str) -> list[str]:
    """A path with a slash too many at each place."""
    head, _, tail = path.rpartition("/")
    return [f"{path}/", f"/{path}", f"/{path}/", f"{head}//{tail}"]


@pytest.mark.parametrize("path", SLASHES)
def test_a_slash_too_many_means_the_row_that_it_would_be_without(house: House, path: str) -> None:
    answer = house.ask(path, method="GET", who="stubs")
    assert answer.status == 200, answer
    assert house.line(answer)["route"] == f"GET {SLASHES[path]}"
    assert answer.body == house.ask(SLASHES[path].replace("{id}", "stub"), method="GET", who="stubs").body
    assert house.ask(path, method="GET", who="nobody").status == 401
    assert house.ask(path + "?a=//b/", method="GET", who="stubs").status == 200


@pytest.mark.parametrize("path", BODIES)
def test_so_it_does_for_what_has_a_body(house: House, path: str) -> None:
    for spelling in spellings_of(path):
        answer = house.ask(spelling, BODIES[path], who="stubs")
        assert answer.status == 200, (spelling, answer)
        assert house.line(answer)["route"] == f"POST {path}"
        refused = house.ask(spelling, named(BODIES[path], FORBIDDEN), who="stubs")
        assert error_of(path, refused)[1].startswith("model 'secret' not found")
    for request in asked_for(house):
        check(request, "POST", path)


@pytest.mark.parametrize("path", MANAGE_BODIES)
def test_a_slash_too_many_gives_no_scope(house: House, path: str) -> None:
    method = "DELETE" if path == "/api/delete" else "POST"
    for spelling in spellings_of(path):
        assert house.ask(spelling, MANAGE_BODIES[path], method=method, who="stubs").status == 403
        assert house.ask(spelling, MANAGE_BODIES[path], method=method, who="keeper").status == 200
    assert {name_of(request) for request in house.reached()} == {f"{method} {path}"}


@pytest.mark.parametrize("path", ["//v1/nothing", "/v1//nothing/", "//api/v1/chat/completions/x"])
def test_what_does_not_exist_is_refused_in_the_dialect_of_what_was_meant(house: House, path: str) -> None:
    answer = house.ask(path, {}, who="stubs")
    assert answer.status == 404
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/api/ps", "/api/chat", "/v1/models/stub"])
def test_a_query_string_changes_nothing_and_goes_nowhere(house: House, path: str) -> None:
    method = "POST" if path in BODIES else "GET"
    for query in ("?model=secret", "?beta=true", "?ts=1", "?key=x&api_key=y", "?%2Fapi%2Fme", "?/../../api/me", "??"):
        answer = house.ask(path + query, BODIES.get(path), method=method, who="stubs")
        assert answer.status == 200
    assert {name_of(request) for request in house.reached()} == {
        f"{method} {path}".replace("/v1/models/stub", "/v1/models")
    }
    if path in BODIES:
        assert {request.json()["model"] for request in house.reached()} == {"stub"}


def test_a_key_in_a_query_string_is_no_key(house: House) -> None:
    key = house.keys["user"]
    for name in ("key", "api_key", "api-key", "token", "access_token", "X-API-Key"):
        assert house.ask(f"/api/ps?{name}={key}", method="GET", who="nobody").status == 401


def test_a_list_shows_no_model_that_the_key_may_not_use(house: House) -> None:
    for path in ("/api/tags", "/api/ps", "/v1/models", "/api/v1/models"):
        for who in ("stubs", "user", "manager"):
            body = house.ask(path, method="GET", who=who).body
            assert b"stub:latest" in body
            assert b"stub-remote" not in body
            assert b"secret" not in body
            assert b"stub-alias" not in body
            assert b"cheap" not in body


def test_a_request_within_a_request_is_none(house: House) -> None:
    """Two lengths, or a length beside chunks, would let a second request hide in the body of the first."""
    inner = b"POST /api/pull HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    key = f"X-API-Key: {house.keys['user']}\r\n".encode()
    for fields in (
        b"Content-Length: 5\r\nContent-Length: 500\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5 5\r\n",
    ):
        with Client(house.server) as client:
            client.send(b"POST /api/chat HTTP/1.1\r\nHost: 127.0.0.1\r\n" + key + fields + b"\r\n0\r\n\r\n" + inner)
            line = client.file.readline()
            assert line == b"" or int(line.split()[1]) >= 400, (fields, line)
    assert house.reached() == []
