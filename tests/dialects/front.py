"""The front door with keys of every kind, and what stands behind it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from benchmarks.stub_client import Recorded, StubProcess
from tests.harness import BASE_DIR, SECRETS, GatewayServer, clean_environment, template, wait_until
from tests.proxy.wire import Answer, Client

# The gateway asks these on its own account.
OWN_QUESTIONS = ("GET /api/tags", "GET /api/version")


LOG_TAIL = 64 * 2**10


class House(NamedTuple):
    """A gateway, the stub behind it, and its keys: `user`, `manager`, `stubs` and `keeper` (for `stub*` alone)."""

    server: GatewayServer
    stub: StubProcess
    keys: Mapping[str, str]

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str = "POST",
        who: str = "user",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends one request with a key."""
        with Client(self.server) as client:
            client.key = self.keys[who]
            client.ask(path, body, method=method, key=bool(client.key), **(headers or {}))
            return client.answer(bodiless=method == "HEAD")

    def stream(self, path: str, body: object, **how: Any) -> bytes:
        """Asks for a stream and returns all of its bytes."""
        answer = self.ask(path, body, **how)
        assert answer.status == 200, answer
        return answer.body

    def line(self, answer: Answer) -> dict[str, Any]:
        """The log's line of a request, which comes when all is over."""
        return self.line_of(answer.headers["x-request-id"])

    def line_of(self, request_id: str) -> dict[str, Any]:
        """The log's line of a request by its id."""
        mark = f'"request_id":"{request_id}"'
        wait_until(lambda: any(mark in line for line in self.last_lines()), 10, self.server.log)
        (line,) = (line for line in self.last_lines() if mark in line)
        found: dict[str, Any] = json.loads(line)
        return found

    def last_lines(self) -> list[str]:
        """The last whole lines of the log, which many tests make long."""
        with (self.server.folder / "log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL))
            return log.read().decode(errors="replace").split("\n")[:-1]

    def upstreams_own(self, path: str, body: object = None) -> bytes:
        """What the stub says to a request of a path of ours, asked without a gateway."""
        address = urlsplit(self.stub.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=20)
        try:
            connection.request("GET" if body is None else "POST", upstream_path(path), body and json.dumps(body))
            response = connection.getresponse()
            assert response.status == 200
            return response.read()
        finally:
            connection.close()

    def reached(self) -> list[Recorded]:
        """What reached the stub, without what the gateway asks on its own account."""
        return [request for request in self.stub.requests() if name_of(request) not in OWN_QUESTIONS]


def name_of(request: Recorded) -> str:
    """A request's method and target."""
    return f"{request.method} {request.target}"


class Keyed(NamedTuple):
    """A database with keys of all kinds, and their secrets by name; `nobody` has none."""

    database: Path
    keys: Mapping[str, str]


# The keys of a house by name: scopes, models.
KEYS = {
    "manager": ("inference,manage", ""),
    "stubs": ("inference", "stub*"),
    "keeper": ("inference,manage", "stub*"),
}
ISSUE = f"""
import django; django.setup()
from apikeys.models import Key
for label, (scopes, models) in {KEYS!r}.items():
    print(Key.objects.issue(label=label, scopes=scopes, models=models)[1])
"""


def keyed(folder: Path) -> Keyed:
    """Makes a database with the keys, from which houses start."""
    made = template()
    database = folder / "keyed.sqlite3"
    shutil.copyfile(made.database, database)
    environment = clean_environment(
        **SECRETS,
        DJANGO_SETTINGS_MODULE="gateway.settings",
        GATEWAY_ENV_FILE=os.devnull,
        DATABASE_URL=f"sqlite:///{database}",
    )
    done = subprocess.run(
        [sys.executable, "-c", ISSUE], cwd=BASE_DIR, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return Keyed(database, {"user": made.key, "nobody": "", **dict(zip(KEYS, done.stdout.split(), strict=True))})


@contextmanager
def opened(stub: StubProcess, keyed: Keyed, **settings: object) -> Iterator[House]:
    """Opens a house with these settings."""
    with TemporaryDirectory(prefix="gateway-") as folder:
        shutil.copyfile(keyed.database, Path(folder) / "db.sqlite3")
        server = GatewayServer(ollama_url=stub.url, folder=Path(folder), fresh=True, **settings)
        server.key = keyed.keys["user"]
        with server:
            yield House(server, stub, keyed.keys)


# A body for each route that takes one: small, complete, answered with a few words.
TEXT = "one two three"
SAID = [{"role": "user", "content": TEXT}]
BODIES: dict[str, dict[str, Any]] = {
    "/api/v1/generate": {"model": "stub", "prompt": TEXT},
    "/api/v1/chat": {"model": "stub", "messages": SAID},
    "/api/v1/completions": {"model": "stub", "prompt": TEXT},
    "/api/v1/chat/completions": {"model": "stub", "messages": SAID},
    "/api/v1/embeddings": {"model": "stub-embed", "input": TEXT},
    "/api/generate": {"model": "stub", "prompt": TEXT},
    "/api/chat": {"model": "stub", "messages": SAID},
    "/api/embed": {"model": "stub-embed", "input": TEXT},
    "/api/embeddings": {"model": "stub-embed", "prompt": TEXT},
    "/api/show": {"model": "stub"},
    "/v1/chat/completions": {"model": "stub", "messages": SAID},
    "/v1/completions": {"model": "stub", "prompt": TEXT},
    "/v1/embeddings": {"model": "stub-embed", "input": TEXT},
    "/v1/responses": {"model": "stub", "input": TEXT},
    "/v1/messages": {"model": "stub", "messages": SAID, "max_tokens": 99},
}
# The same of forms: their type, and a form with a small recording.
FORM_TYPE = "multipart/form-data; boundary=x"
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nstub\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\x00\xff\r\n--x--\r\n'
)
FORMS = ("/v1/audio/transcriptions", "/api/v1/audio/transcriptions")
MANAGE_BODIES: dict[str, dict[str, Any]] = {
    "/api/pull": {"model": "stub"},
    "/api/push": {"model": "stub"},
    "/api/create": {"model": "stub-mine", "from": "stub"},
    "/api/copy": {"source": "stub", "destination": "stub-copy"},
    "/api/delete": {"model": "stub"},
}
# Where a route of ours leads, if elsewhere than to the same path.
UPSTREAM = {
    "/api/v1/generate": "/api/generate",
    "/api/v1/chat": "/api/chat",
    "/api/v1/completions": "/v1/completions",
    "/api/v1/chat/completions": "/v1/chat/completions",
    "/api/v1/embeddings": "/v1/embeddings",
    "/api/v1/audio/transcriptions": "/v1/audio/transcriptions",
}
STREAMED = [path for path in BODIES if not path.endswith(("embed", "embeddings", "show"))]
# How each path speaks of errors.
SURFACES = {
    **dict.fromkeys(("/api/v1/generate", "/api/v1/chat", "/api/v1/completions"), "gateway"),
    **{path: "ollama" for path in (*BODIES, *MANAGE_BODIES) if path.startswith("/api/") and "/v1/" not in path},
    **{path: "openai" for path in BODIES if path.endswith(("chat/completions", "/responses"))},
    **dict.fromkeys(("/v1/completions", "/v1/embeddings", "/api/v1/embeddings"), "openai"),
    **dict.fromkeys(FORMS, "openai"),
    "/v1/messages": "anthropic",
}
DIGEST = "sha256:" + "0a" * 32


def upstream_path(path: str) -> str:
    """The path of Ollama's behind one of ours."""
    return UPSTREAM.get(path, path)


def saying(path: str, text: str, **fields: Any) -> dict[str, Any]:
    """A body for a path with another text."""
    body = dict(BODIES[path])
    for name in ("prompt", "input"):
        if name in body:
            body[name] = text
    if "messages" in body:
        body["messages"] = [{"role": "user", "content": text}]
    return body | fields


def errors_in(surface: str, error: Any) -> tuple[str, str]:
    """Checks an error's exact shape; returns its kind (as far as the shape has one) and its text."""
    if surface == "ollama":
        assert set(error) == {"error"}
        assert isinstance(error["error"], str)
        return "", error["error"]
    if surface == "gateway":
        assert set(error) == {"error", "message"}
        return error["error"], error["message"]
    if surface == "openai":
        assert set(error) == {"error"}
        assert set(error["error"]) == {"message", "type", "param", "code"}
        assert error["error"]["param"] is None
        return error["error"]["type"], error["error"]["message"]
    assert set(error) == {"type", "error", "request_id"}
    assert error["type"] == "error"
    assert set(error["error"]) == {"type", "message"}
    return error["error"]["type"], error["error"]["message"]


def error_of(path: str, answer: Answer) -> tuple[str, str]:
    """The kind and text of an answer that is an error, in exactly the shape of its path."""
    assert answer.headers["content-type"] == "application/json"
    return errors_in(SURFACES[path], orjson.loads(answer.body))


def last_words(path: str, body: bytes) -> tuple[str, str]:
    """The kind and text of the error that ends a stream, in exactly the shape of its path."""
    surface = SURFACES[path]
    if surface == "ollama":
        assert body.endswith(b"\n")
        return errors_in(surface, orjson.loads(body.splitlines()[-1]))
    assert body.endswith(b"\n\n")
    name, data = [b"", *body.removesuffix(b"\n\n").split(b"\n\n")[-1].split(b"\n")][-2:]
    assert name == (b"" if surface == "openai" and not path.endswith("responses") else b"event: error")
    error = orjson.loads(data.removeprefix(b"data: "))
    if path.endswith("responses"):
        assert error["type"] == "error"
        assert set(error) == {"type", "code", "message", "param", "sequence_number", "error"}
        error = {"error": error["error"]}
    return errors_in(surface, error)
