"""Connections to Ollama are made to the right one, over TLS too, and not used again once they have ended."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from django.conf import settings

from proxy.exceptions import UpstreamError, UpstreamUnreachable
from proxy.upstream import connect

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that signed itself, with its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    key, path = folder / "key.pem", folder / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", path], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@asynccontextmanager
async def ollama(certificate: Path) -> AsyncIterator[int]:
    """Answers every request over TLS; yields its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_certificate_of_the_named_authority_is_believed_and_its_connection_used_again(
    certificate: Path,
) -> None:
    async with ollama(certificate) as port:
        env = settings.ENV.model_copy(update={"OLLAMA_CA": certificate})
        upstream = connect(env, f"https://localhost:{port}")
        for _ in range(2):
            assert await upstream.small("/api/version", 10) == (200, b"{}")
        assert len(upstream.transport.pool.every) == 1  # type: ignore[attr-defined]
        await upstream.aclose()


async def test_any_other_certificate_is_not(certificate: Path) -> None:
    async with ollama(certificate) as port:
        upstream = connect(settings.ENV, f"https://localhost:{port}")
        with pytest.raises(UpstreamError, match="OLLAMA_CA"):
            await upstream.small("/api/version", 10)
        await upstream.aclose()


async def test_a_name_that_stands_for_several_addresses_is_tried_until_one_answers() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    # Where localhost has an IPv6 address too, nothing listens there.
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        upstream = connect(settings.ENV, f"http://localhost:{server.sockets[0].getsockname()[1]}")
        assert await upstream.small("/api/version", 10) == (200, b"{}")
        await upstream.aclose()


async def test_a_connection_that_ended_while_nobody_looked_is_not_used_again() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        upstream = connect(settings.ENV, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for _ in range(10):
            assert await upstream.small("/api/version", 10) == (200, b"{}")
            time.sleep(0.02)  # noqa: ASYNC251 -- a loop that is busy elsewhere has not heard of the end
        await upstream.aclose()


async def test_a_name_that_can_be_none_is_an_upstream_that_is_not_there() -> None:
    upstream = connect(settings.ENV, f"http://{'a' * 70}.example:11434")
    with pytest.raises(UpstreamUnreachable):
        await upstream.small("/api/version", 10)
    await upstream.aclose()
