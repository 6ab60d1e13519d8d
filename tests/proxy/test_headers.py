"""What reaches the upstream: none of the client's headers, the gateway's own credential, its address's prefix."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer
from tests.proxy.wire import FakeUpstream, Peer, ask, asked

GENERATE = "/api/v1/generate"
MakeGateway = Callable[..., GatewayServer]
PRIVATE = {
    "Cookie": "session=private",
    "Authorization": "Basic cHJpdmF0ZQ==",
    "Origin": "http://private.example",
    "Referer": "http://private.example/",
    "Forwarded": "for=10.1.2.3",
    "X_Forwarded_For": "10.1.2.3",
    "X_Forwarded_Host": "private.example",
    "X_Real_IP": "10.1.2.3",
    "Via": "1.1 private",
    "User_Agent": "private/1.0",
    "Accept_Encoding": "gzip, br",
    "Accept_Language": "private",
    "Proxy_Authorization": "Basic cHJpdmF0ZQ==",
    "X_Request_ID": "private-id",
    "X_Private": "private",
    "Connection": "keep-alive, X-Private",
    "TE": "trailers",
    "Content_Type": "text/private",
}


def test_only_our_own_headers_reach_the_upstream(stub: StubProcess, gateway: GatewayServer) -> None:
    for stream in (False, True):
        assert ask(gateway, GENERATE, {"prompt": "a", "stream": stream}, **PRIVATE).status == 200
    for request in asked(stub):
        assert {name.lower() for name, _value in request.headers} == {
            "host",
            "accept",
            "accept-encoding",
            "user-agent",
            "content-type",
            "content-length",
        }
        assert request.header("Content-Length") == str(len(request.body))
        assert request.header("Accept-Encoding") == "identity"
        assert request.header("Content-Type") == "application/json"
        assert request.header("Host") == stub.url.removeprefix("http://")
        text = str(request.headers)
        assert "private" not in text
        assert "10.1.2.3" not in text
        assert gateway.key not in text


def test_a_body_in_chunks_goes_on_with_its_length(stub: StubProcess, gateway: GatewayServer) -> None:
    assert ask(gateway, GENERATE, {"prompt": "x" * 100_000}).status == 200
    (request,) = asked(stub)
    assert request.header("Content-Length") == str(len(request.body))
    assert request.header("Transfer-Encoding") is None


def test_the_gateways_own_credential_goes_along(stub: StubProcess, make_gateway: MakeGateway) -> None:
    server = make_gateway(OLLAMA_API_KEY="upstream-secret")
    assert ask(server, GENERATE, {"prompt": "a"}).status == 200
    assert ask(server, GENERATE, {"prompt": "a"}, key=False, Authorization=f"Bearer {server.key}").status == 200
    assert [request.header("Authorization") for request in asked(stub)] == ["Bearer upstream-secret"] * 2
    assert "upstream-secret" not in server.log()


@pytest.mark.parametrize("suffix", ["", "/", "/api/generate"])
def test_the_prefix_of_the_address_is_kept(fake: FakeUpstream, make_gateway: MakeGateway, suffix: str) -> None:
    server = make_gateway(ollama_url=f"{fake.url}/behind/a%20proxy{suffix}")

    def answer(peer: Peer) -> None:
        peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"done":true}')

    fake.behave = answer
    assert ask(server, GENERATE, {"prompt": "a"}).status == 200
    assert ask(server, "/api/v1/completions", {"prompt": "a"}).status == 200
    assert [peer.target for peer in fake.seen] == ["/behind/a%20proxy/api/generate", "/behind/a%20proxy/v1/completions"]


# TLS on the way to Ollama


class Answering(BaseHTTPRequestHandler):
    """Answers everything with a whole answer."""

    body: ClassVar[bytes] = b'{"model":"mistral","response":"over TLS","done":true}'

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the name that it has
        """Says nothing."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody signed, and its key beside it."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    return folder / "certificate.pem"


@pytest.fixture(scope="module")
def tls_url(certificate: Path) -> Iterator[str]:
    """The address of an upstream that shows that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server = HTTPServer(("127.0.0.1", 0), Answering)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that refuses is what we want
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_an_authority_of_ones_own_is_trusted_when_named(
    tls_url: str, certificate: Path, make_gateway: MakeGateway
) -> None:
    server = make_gateway(ollama_url=tls_url, OLLAMA_CA=certificate)
    answer = ask(server, GENERATE, {"prompt": "a"})
    assert answer.status == 200
    assert answer.body == Answering.body


def test_a_certificate_that_nobody_signed_is_not_trusted(tls_url: str, make_gateway: MakeGateway) -> None:
    server = make_gateway(ollama_url=tls_url)
    answer = ask(server, GENERATE, {"prompt": "a"})
    assert answer.status == 502
    assert "OLLAMA_CA" in answer.json()["message"]
