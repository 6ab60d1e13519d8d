"""Bytes of HTTP/1.1 as Go writes them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.stub.answer import Stream, Whole

DATE = b"Date: Fri, 02 Jan 2026 03:04:05 GMT\r\n"
END = b"0\r\n\r\n"
PHRASES = {status.value: status.phrase for status in HTTPStatus}
NO_BODY = {204, 304}


def head(status: int, content_type: str | None, headers: tuple[tuple[str, str], ...], length: int | None) -> bytes:
    """Writes status line and headers; without a length the body is chunked."""
    lines = [f"HTTP/1.1 {status} {PHRASES.get(status, 'status code ' + str(status))}\r\n"]
    if content_type:
        lines.append(f"Content-Type: {content_type}\r\n")
    lines += [f"{name}: {value}\r\n" for name, value in headers]
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    rest = "" if status in NO_BODY else framing + "\r\n"
    return "".join(lines).encode("latin-1") + DATE + rest.encode() + b"\r\n"


def chunk(data: bytes) -> bytes:
    """Frames one piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(answer: Whole, headers: tuple[tuple[str, str], ...], *, body: bool) -> bytes:
    """Writes an answer in one piece; a HEAD request gets no body."""
    start = head(answer.status, answer.content_type, answer.headers + headers, len(answer.body))
    return start + answer.body if body else start


def stream_head(answer: Stream, headers: tuple[tuple[str, str], ...]) -> bytes:
    """Writes the head of an answer in chunks."""
    return head(200, answer.content_type, answer.headers + headers, None)
