"""Asking an Ollama who it is."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benchmarks.stub_client import StubProcess
from gateway.probe import Found, look

Answers = dict[str, tuple[int, bytes]]
VERSION = (200, b'{"version":"0.5.1"}')


@contextmanager
def ollama(answers: Answers) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server with these answers; gives its URL and, as they come, the paths and credentials that it was sent."""
    asked: list[tuple[str, str | None]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization")))
            status, body = answers[self.path]
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/api/tags")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def tags(*names: str) -> tuple[int, bytes]:
    return 200, json.dumps({"models": [{"name": name} for name in names]}).encode()


def test_it_works(stub: StubProcess) -> None:
    found = look(stub.url)
    assert found.version
    assert "stub:latest" in found.models
    assert not found.problem


def test_no_models_are_no_problem() -> None:
    with ollama({"/api/version": VERSION, "/api/tags": (200, b'{"models":null}')}) as (url, _):
        assert look(url) == Found("0.5.1", ())


def test_the_credential_goes_along() -> None:
    with ollama({"/api/version": VERSION, "/api/tags": tags()}) as (url, asked):
        look(url, token="t0ken")
    assert asked == [("/api/version", "Bearer t0ken"), ("/api/tags", "Bearer t0ken")]


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with ollama({"/api/version": VERSION, "/api/tags": tags()}) as (url, _):
        assert look(url).version == "0.5.1"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ((401, b"{}"), "it answers 401 to /api/version"),
        ((404, b"<html>"), "it answers 404 to /api/version"),
        ((302, b""), "it answers 302 to /api/version"),
        ((200, b"<html>"), "what answers is no Ollama"),
        ((200, b"[]"), "what answers is no Ollama"),
        ((200, b'{"name":"x"}'), "what answers is no Ollama"),
        ((200, b"\xff\xfe"), "what answers is no Ollama"),
    ],
)
def test_what_answers_otherwise_is_told(answer: tuple[int, bytes], problem: str) -> None:
    with ollama({"/api/version": answer, "/api/tags": tags()}) as (url, _):
        assert look(url) == Found(problem=problem)


def test_what_speaks_no_http_is_told() -> None:
    def greet(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(1024)
            connection.sendall(b"220 mail.example.org\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=greet, args=(listener,))
        server.start()
        assert look(f"http://127.0.0.1:{listener.getsockname()[1]}").problem
        server.join()


def test_an_unknown_name_is_told() -> None:
    assert look("http://nowhere.invalid").problem


def test_an_https_address_that_speaks_plain_http_is_told() -> None:
    with ollama({}) as (url, _):
        assert look(url.replace("http:", "https:")).problem


@pytest.mark.parametrize(
    ("asked", "there"),
    [
        ("mistral", True),
        ("mistral:latest", True),
        ("mistral:7b", False),
        ("llama3", False),
        ("qwen:7b", True),
        ("qwen", False),
    ],
)
def test_a_name_without_a_tag_means_latest(asked: str, there: bool) -> None:
    assert Found("0.5.1", ("mistral:latest", "qwen:7b")).has(asked) is there
