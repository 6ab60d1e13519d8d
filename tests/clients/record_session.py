"""Records what a real client sends to the gateway, so that the tests can send it again.

    python -m tests.clients.record_session --gateway http://127.0.0.1:8100 --port 8200 --client codex --version 1.2.3 \
        --output tests/clients/sessions/codex.jsonl

Point the client at the printed address and use it; Ctrl-C ends the recording. Each line of the file is one request.
Its key is replaced, and so is the prose in it, letter by letter: a client's instructions belong to its authors, and the
tests need their form and length alone.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import re
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KEY = re.compile(rb"ollama_[0-9A-Za-z]+_[0-9A-Za-z]+")
PLACEHOLDER = b"YOUR_KEY"
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
# A letter that is no part of an escape (\n, \u00e9).
LETTER = re.compile(rb"(\\u[0-9A-Fa-f]{4}|\\.)|[A-Z]|[a-z]")
LONGEST_NAME = 40
# What a test looks for stays as it is: the model's name needs no mask, and this line is what changes with each turn.
KEPT = re.compile(rb'^"x-anthropic-billing-header:')
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host"})
SECONDS = 600


def mask_prose(body: bytes) -> bytes:
    """Replaces the letters of each JSON string that is prose; the length and all other bytes stay."""
    return STRING.sub(lambda found: found[0] if is_name(found[0]) else mask_letters(found[0]), body)


def is_name(literal: bytes) -> bool:
    """Tells whether a JSON string is a name, a number or an id rather than prose."""
    return KEPT.match(literal) is not None or (b" " not in literal and len(literal) <= LONGEST_NAME)


def mask_letters(literal: bytes) -> bytes:
    """Replaces letters by x and X; and [[, which would turn the stub's knobs."""
    return LETTER.sub(lambda found: found[1] or (b"X" if found[0].isupper() else b"x"), literal).replace(b"[[", b"((")


def as_line(method: str, target: str, headers: list[tuple[str, str]], body: bytes) -> str:
    """Writes a request as a line of a recording."""
    masked = mask_prose(body) if body.lstrip()[:1] in b"{[" else body
    row: dict[str, Any] = {
        "method": method,
        "target": target,
        "headers": [[name, KEY.sub(PLACEHOLDER, value.encode()).decode()] for name, value in headers],
    }
    try:
        row["body"] = masked.decode()
    except UnicodeDecodeError:
        row["base64"] = base64.b64encode(masked).decode()
    return json.dumps(row, ensure_ascii=False) + "\n"


class Relay(BaseHTTPRequestHandler):
    """Passes each request on to the gateway, and writes it down."""

    protocol_version = "HTTP/1.1"
    gateway: str
    output: Path
    lock = threading.Lock()

    def relay(self) -> None:
        """Handles a request of any method."""
        length = int(self.headers.get("Content-Length") or 0)
        body = b"".join(self.chunks()) if self.is_chunked else self.rfile.read(length)
        headers = [(name, value) for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP]
        with self.lock, self.output.open("a") as file:
            file.write(as_line(self.command, self.path, headers, body))
        sys.stderr.write(f"{self.command} {self.path} {len(body)} bytes\n")
        address = urlsplit(self.gateway)
        upstream = http.client.HTTPConnection(address.hostname or "", address.port, timeout=SECONDS)
        try:
            sent = {name: value for name, value in headers if name.lower() != "content-length"}
            upstream.request(self.command, self.path, body or None, sent)
            answer = upstream.getresponse()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            while part := answer.read1(65536):
                self.wfile.write(part)
                self.wfile.flush()
        finally:
            upstream.close()

    def __getattr__(self, name: str) -> Any:
        """Finds `do_GET` and its like, by which the base class looks up a method's handler."""
        if name.startswith("do_"):
            return self.relay
        raise AttributeError(name)

    @property
    def is_chunked(self) -> bool:
        """Tells whether the body comes in chunks."""
        return "chunked" in self.headers.get("Transfer-Encoding", "")

    def chunks(self) -> Iterator[bytes]:
        """Yields the chunks of a body."""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 -- the base class names it so
        """Keeps the base class from writing each request a second time."""


def main() -> None:
    """Listens until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", required=True, help="the gateway's address")
    parser.add_argument("--port", type=int, default=8200, help="the port to listen on")
    parser.add_argument("--client", required=True, help="the client's name")
    parser.add_argument("--version", required=True, help="the client's version")
    parser.add_argument("--output", type=Path, required=True, help="the file to write; what is in it is replaced")
    options = parser.parse_args()
    Relay.gateway, Relay.output = options.gateway, options.output
    options.output.write_text(json.dumps({"client": options.client, "version": options.version}) + "\n")
    with ThreadingHTTPServer(("127.0.0.1", options.port), Relay) as server:
        sys.stderr.write(f"Listening on http://127.0.0.1:{options.port}\n")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stderr.write("The recording ends.\n")


if __name__ == "__main__":
    main()
