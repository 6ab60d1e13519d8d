"""A client that hides nothing, and an upstream that may break every rule."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import psutil

from benchmarks.stub_client import Recorded, StubProcess
from tests.harness import GatewayServer

RESET = struct.pack("ii", 1, 0)
SECONDS = 10.0


class Head(NamedTuple):
    """The head of an answer; header names in lower case."""

    status: int
    headers: dict[str, str]


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """One connection to a gateway: bytes out, bytes in, no opinion."""

    def __init__(self, server: GatewayServer, *, buffer: int = 0) -> None:
        address = urlsplit(server.url)
        self.sock = socket.socket()
        if buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.sock.settimeout(SECONDS)
        try:
            self.sock.connect((address.hostname or "", address.port or 0))
        except OSError:
            self.sock.close()
            raise
        self.file = self.sock.makefile("rb")
        self.key = server.key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        self.leave()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(self, path: str, body: object = None, *, method: str = "POST", key: bool = True, **headers: str) -> None:
        """Sends a request with its Content-Length; header names are spelled with underscores."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"Host": "127.0.0.1", **({"X-API-Key": self.key} if key else {})}
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        if data or method == "POST":
            fields.setdefault("Content-Length", str(len(data)))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + data)

    def head(self) -> Head:
        """Reads the head of the next answer."""
        line = self.file.readline()
        assert line, "the connection was closed without an answer"
        headers = {}
        while (field := self.file.readline().strip()) != b"":
            name, _colon, value = field.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return Head(int(line.split()[1]), headers)

    def chunk(self) -> bytes:
        """Reads the next chunk of a chunked body; b"" is its proper end.  Raises EOFError where it is cut off."""
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        size = int(line, 16)
        data = self.file.read(size + 2)
        if len(data) != size + 2:
            raise EOFError
        assert data.endswith(b"\r\n")
        return data[:-2]

    def chunks(self) -> Iterator[bytes]:
        """Reads the chunks up to the proper end of the body."""
        return iter(self.chunk, b"")

    def events(self, count: int) -> list[bytes]:
        """Reads chunks until so many events have come."""
        data = b""
        while data.count(b"\n\n") < count:
            data += self.chunk()
        return events(data)

    def answer(self, *, bodiless: bool = False) -> Answer:
        """Reads the next answer, whole."""
        head = self.head()
        if bodiless or head.status in (204, 304):
            return Answer(*head, b"")
        if head.headers.get("transfer-encoding") == "chunked":
            return Answer(*head, b"".join(self.chunks()))
        size = int(head.headers["content-length"])
        body = self.file.read(size)
        assert len(body) == size, "the body was cut off"
        return Answer(*head, body)

    def is_closed(self) -> bool:
        """Waits for the other side to close, or to send what nobody asked for."""
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def leave(self, *, reset: bool = False) -> None:
        """Closes the connection, politely or with a reset."""
        if reset and self.sock.fileno() >= 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.file.close()
        self.sock.close()


def ask(server: GatewayServer, path: str, body: object = None, **how: Any) -> Answer:
    """Sends one request on a connection of its own and returns the answer."""
    with Client(server) as client:
        client.ask(path, body, **how)
        return client.answer(bodiless=how.get("method") == "HEAD")


def asked(stub: StubProcess) -> list[Recorded]:
    """Returns the requests for inference that reached the stub; the gateway asks about models of its own accord."""
    return [request for request in stub.requests() if request.method == "POST" and request.target != "/api/show"]


def process_of(server: GatewayServer) -> psutil.Process:
    """Returns the process that serves."""
    assert server.process is not None
    return psutil.Process(server.process.pid)


def events(body: bytes) -> list[bytes]:
    """Splits an event stream into its events, which must be whole."""
    assert body.endswith(b"\n\n"), body[-80:]
    return body.removesuffix(b"\n\n").split(b"\n\n")


def error_of(event: bytes) -> dict[str, str]:
    """Reads an error event."""
    name, data = event.split(b"\n")
    assert name == b"event: error"
    error: dict[str, str] = json.loads(data.removeprefix(b"data: "))
    assert set(error) == {"error", "message"}
    return error


class Peer:
    """One connection that reached the fake upstream, with its request read."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.file = sock.makefile("rb")
        self.target = ""
        self.headers: dict[str, str] = {}
        self.body = b""

    def read(self) -> bool:
        """Reads a request; returns False when there is no more."""
        line = self.file.readline()
        if not line:
            return False
        self.target = line.split()[1].decode()
        self.headers = {}
        while (field := self.file.readline().strip()) != b"":
            name, _colon, value = field.decode("latin-1").partition(":")
            self.headers[name.lower()] = value.strip()
        self.body = self.file.read(int(self.headers.get("content-length", "0")))
        return True

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def is_closed(self) -> bool:
        """Waits until the gateway closes the connection."""
        try:
            return self.file.read(1) == b""
        except OSError:
            return True


def chunk(data: bytes) -> bytes:
    """Frames a chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


# It says that it closes, as it does: else the next request may go into a connection that is just being closed.
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
)
END = b"0\r\n\r\n"


INFERENCE = ("/generate", "/chat", "/completions", "/messages", "/responses", "/delete")


class FakeUpstream:
    """An upstream that does with each connection what the test says; `/api/version` and the like get a 404.

    `behave` is called in a thread of its own for every request to an inference path; it closes the connection by
    returning.
    """

    def __init__(self, *, every_path: bool = False) -> None:
        self.every_path = every_path
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.behave: Callable[[Peer], object] = lambda _peer: None
        self.seen: list[Peer] = []
        self.open = 0
        self.lock = threading.Lock()

    def accept(self) -> None:
        while True:
            try:
                sock, _address = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock: socket.socket) -> None:
        sock.settimeout(SECONDS)
        with self.lock:
            self.open += 1
        peer = Peer(sock)
        try:
            self.play(peer)
        except OSError:
            pass  # the gateway left, as some tests want it to
        finally:
            peer.file.close()
            sock.close()
            with self.lock:
                self.open -= 1

    def play(self, peer: Peer) -> None:
        while peer.read():
            if not (self.every_path or peer.target.endswith(INFERENCE)):
                peer.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            self.seen.append(peer)
            if self.behave(peer) is not True:  # True: wait for another request
                return


@contextmanager
def fake_upstream(*, every_path: bool = False) -> Iterator[FakeUpstream]:
    """Runs a fake upstream; `every_path` asks `behave` for all requests."""
    upstream = FakeUpstream(every_path=every_path)
    thread = threading.Thread(target=upstream.accept, daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        upstream.listener.shutdown(socket.SHUT_RDWR)
        upstream.listener.close()
        thread.join(SECONDS)
