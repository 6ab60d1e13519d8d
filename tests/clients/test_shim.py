"""`scripts/ollama-shim`: what the `ollama` command sends reaches the gateway with a key, and nobody else's does."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import BASE_DIR, GatewayServer, clean_environment

COMMAND = [str(BASE_DIR / "scripts" / "ollama-shim")]
SECONDS = 10
# A prompt that is larger than all buffers on the way together.
LARGE = "lama " * 2_000_000


@contextmanager
def started(url: str, key: str, *options: str, **environment: str) -> Iterator[int]:
    """Runs the shim and gives its port."""
    process = subprocess.Popen(
        [*COMMAND, url, "--port", "0", *options],
        env=clean_environment(OLLAMA_API_KEY=key, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert " relays to " in line
        yield int(line.split()[0].rpartition(":")[2])
    finally:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=SECONDS)
    assert key not in "".join(said)
    assert (said[1], process.returncode) == ("", 0)


@pytest.fixture(scope="module")
def port(gateway: GatewayServer) -> Iterator[int]:
    """The port of a shim before the gateway that has the stub behind it."""
    with started(gateway.url, gateway.key) as port:
        yield port


@pytest.fixture
def upstream() -> Iterator[socket.socket]:
    """A gateway whose answers the test writes itself."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SECONDS)
        yield listener


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody signed, and its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=shim"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command.split(), *names, "-keyout", str(file), "-out", str(file)], check=True, capture_output=True)
    return file


@contextmanager
def answering_over_tls(certificate: Path) -> Iterator[str]:
    """A gateway behind TLS that says `ok`."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that refuses is what we want
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(SECONDS)


def ask(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, str], bytes]:
    """Sends one request on a connection of its own; returns status, headers (lower case) and body."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        content = json.dumps(body) if isinstance(body, dict) else body
        connection.request(method, path, content, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def raw(port: int, request: bytes) -> bytes:
    """Sends bytes, returns all that comes back."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def free_port() -> int:
    """Returns a port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number: int = listener.getsockname()[1]
        return number


@contextmanager
def serving(work: Callable[[], None]) -> Iterator[None]:
    """Does something in a thread meanwhile."""
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(SECONDS)
    assert not thread.is_alive()


def taken(listener: socket.socket) -> tuple[socket.socket, str]:
    """Takes a connection and reads a request's head."""
    connection, _ = listener.accept()
    connection.settimeout(SECONDS)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    return connection, head.decode()


def test_the_commands_first_steps_work(port: int) -> None:
    agent = {"User-Agent": "ollama/0.33.0 (amd64 linux) Go/go1.26", "Accept": "application/json"}
    assert ask(port, "HEAD", "/", headers=agent)[0] == 200
    assert json.loads(ask(port, "POST", "/api/show", {"model": "stub"}, agent)[2])["capabilities"]
    loaded = json.loads(ask(port, "POST", "/api/generate", {"model": "stub", "prompt": ""}, agent)[2])
    assert loaded["done_reason"] == "load"
    talk = {"model": "stub", "messages": [{"role": "user", "content": "one two three"}]}
    status, headers, body = ask(port, "POST", "/api/chat", talk, agent)
    assert status == 200
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["connection"] == "close"
    parts = [json.loads(line) for line in body.splitlines()]
    assert "".join(part["message"]["content"] for part in parts) == "one two three"
    assert parts[-1]["done"]
    assert json.loads(ask(port, "GET", "/api/tags", headers=agent)[2])["models"]
    assert json.loads(ask(port, "DELETE", "/api/delete", {"model": "stub"}, agent)[2])["error"].startswith("This key")


def test_a_part_of_a_stream_arrives_before_the_next_is_there(port: int, stub: StubProcess) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("POST", "/api/generate", json.dumps({"model": "stub", "prompt": "one two [[hang_after=1]]"}))
    answer = connection.getresponse()
    assert json.loads(answer.readline())["response"] == "one"
    answer.close()
    connection.close()
    assert stub.wait_for(StubProcess.cancelled)


def test_a_large_body_arrives_whole(port: int, stub: StubProcess) -> None:
    body = {"model": "stub-num9000000-trained9000000", "prompt": LARGE, "stream": False}
    assert ask(port, "POST", "/api/generate", body)[0] == 200
    assert stub.requests("/api/generate")[0].json()["prompt"] == LARGE


def test_a_body_in_chunks_arrives_whole(gateway: GatewayServer, stub: StubProcess, manager_key: str) -> None:
    parts = [b"GGUF", b"x" * 100_000, b"end"]
    digest = hashlib.sha256(b"".join(parts)).hexdigest()
    with started(gateway.url, manager_key) as port:
        assert ask(port, "POST", f"/api/blobs/sha256:{digest}", iter(parts))[0] == 201
    assert stub.requests(f"/api/blobs/sha256:{digest}")[0].body == b"".join(parts)


def test_a_body_that_is_refused_half_way_has_its_answer(upstream: socket.socket) -> None:
    def refuse() -> None:
        connection, _ = taken(upstream)
        connection.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
        with suppress(ConnectionError):  # the shim has its answer and may leave
            while connection.recv(65536):
                pass
        connection.close()

    with serving(refuse), started(f"http://127.0.0.1:{upstream.getsockname()[1]}", "key") as port:
        status, _, body = ask(port, "POST", "/api/generate", {"model": "stub", "prompt": LARGE})
    assert (status, body) == (413, b"no")


def test_a_large_body_for_nobody_has_its_answer_too() -> None:
    with started(f"http://127.0.0.1:{free_port()}", "key") as port:
        assert ask(port, "POST", "/api/generate", {"model": "stub", "prompt": LARGE})[0] == 502


def test_a_client_that_leaves_stops_the_work(port: int, stub: StubProcess) -> None:
    with socket.create_connection(("127.0.0.1", port), SECONDS) as client:
        body = b'{"model": "stub", "prompt": "one [[hang=1]]"}'
        client.sendall(
            b"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        )
        stub.wait_for(lambda stub: stub.under_way())
    assert stub.wait_for(StubProcess.cancelled)


def test_an_absent_gateway_is_a_502_in_ollamas_shape() -> None:
    number = free_port()
    with started(f"http://127.0.0.1:{number}", "key") as port:
        status, headers, body = ask(port, "POST", "/api/chat", {"model": "stub"})
    assert status == 502
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"].startswith(f"127.0.0.1:{number} can't be reached")


def test_a_gateway_that_breaks_off_is_a_502(upstream: socket.socket) -> None:
    def break_off() -> None:
        taken(upstream)[0].close()

    with serving(break_off), started(f"http://127.0.0.1:{upstream.getsockname()[1]}", "key") as port:
        status, _, body = ask(port, "GET", "/api/tags")
    assert status == 502
    assert json.loads(body)["error"].startswith("The gateway broke off")


def test_an_answer_that_breaks_off_does_not_end_well(upstream: socket.socket) -> None:
    def answer() -> None:
        connection, _ = taken(upstream)
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        connection.close()

    with serving(answer), started(f"http://127.0.0.1:{upstream.getsockname()[1]}", "key") as port:
        got = raw(port, b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert got.endswith(b"3\r\nabc\r\n")


def test_the_gateway_sees_its_own_name_the_key_and_none_of_the_clients_secrets(upstream: socket.socket) -> None:
    heads: list[str] = []

    def answer() -> None:
        connection, head = taken(upstream)
        heads.append(head)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\r\nok")
        connection.close()

    authority = f"127.0.0.1:{upstream.getsockname()[1]}"
    with serving(answer), started(f"http://{authority}/ai/", "the-key") as port:
        sent = {"authorization": "Basic b3RoZXI6", "Cookie": "a=b", "X-API-Key": "other", "X-Kept": "yes"}
        status, headers, body = ask(port, "GET", "/api/tags?ts=1", headers=sent)
    assert (status, body) == (200, b"ok")
    assert "keep-alive" not in headers
    start, *fields = heads[0].strip().split("\r\n")
    assert start == "GET /ai/api/tags?ts=1 HTTP/1.1"
    assert f"Host: {authority}" in fields
    assert "Authorization: Bearer the-key" in fields
    assert "Connection: close" in fields
    assert "X-Kept: yes" in fields
    names = [field.partition(":")[0].lower() for field in fields]
    assert {"cookie", "x-api-key"}.isdisjoint(names)
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    "fields",
    [
        "Host: evil.example.org",
        "Host: evil.example.org:11435",
        "Host: 192.168.1.2",
        "Host: 127.0.0.1.evil.example.org",
        "Host: localhost\r\nHost: evil.example.org",
        "X-Nothing: at all",
        "Host: localhost\r\nOrigin: https://evil.example.org",
        "Host: localhost\r\norigin: null",
        "Host: localhost\r\nOrigin : http://localhost",
        "Host: localhost\r\nSec-Fetch-Site: cross-site",
    ],
)
def test_a_web_page_can_not_use_it(fields: str, port: int, stub: StubProcess) -> None:
    answer = raw(port, f"GET /api/tags HTTP/1.1\r\n{fields}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert stub.requests("/api/tags") == []


@pytest.mark.parametrize("host", ["127.0.0.1:11435", "localhost:11435", "LOCALHOST", "[::1]:11435", "127.8.9.1"])
def test_any_spelling_of_this_machine_will_do(host: str, port: int) -> None:
    assert raw(port, f"GET /api/tags HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "request_head",
    [
        b"hello\r\n\r\n",
        b"GET http://evil.example.org/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"CONNECT evil.example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["no HTTP", "another's URL", "a tunnel", "a long head"],
)
def test_what_is_no_request_for_ollama_is_refused(request_head: bytes, port: int) -> None:
    assert raw(port, request_head).startswith(b"HTTP/1.1 400 ")


def test_it_listens_on_the_loopback_address_alone(gateway: GatewayServer) -> None:
    with started(gateway.url, gateway.key) as port:
        listening = [link.laddr for link in psutil.net_connections("tcp") if link.status == psutil.CONN_LISTEN]
    assert [address.ip for address in listening if address.port == port] == ["127.0.0.1"]


def test_the_key_can_come_from_a_file(gateway: GatewayServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{gateway.key}\n")
    with started(gateway.url, "unused", "--key-file", str(file)) as port:
        assert ask(port, "GET", "/api/tags")[0] == 200


def test_it_speaks_tls_and_trusts_nobody_unasked(certificate: Path) -> None:
    with (
        answering_over_tls(certificate) as url,
        started(url, "key") as distrustful,
        started(url, "key", SSL_CERT_FILE=str(certificate)) as trusting,
    ):
        status, _, body = ask(distrustful, "GET", "/")
        assert status == 502
        assert "certificate" in json.loads(body)["error"].lower()
        assert ask(trusting, "GET", "/")[::2] == (200, b"ok")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gateway.example.org"], "must be like https://"),
        (["ftp://gateway.example.org"], "must be like https://"),
        (["https://user:key@gateway.example.org"], "without a key"),
        (["https://gateway.example.org/?key=1"], "without a key"),
        (["https://gateway.example.org", "--host", "0.0.0.0"], "unrecognized arguments"),
        (["https://gateway.example.org"], "no key: put it into the variable OLLAMA_API_KEY"),
        (["https://gateway.example.org", "--key-file", "/nowhere"], "No such file"),
    ],
)
def test_it_says_what_it_needs(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [*COMMAND, *arguments], env=clean_environment(), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "https://gateway.example.org", "--port", str(number)],
            env=clean_environment(OLLAMA_API_KEY="key"),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 1
    assert str(number) in done.stderr
    assert "Traceback" not in done.stderr
