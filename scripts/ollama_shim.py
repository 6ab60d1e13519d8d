#!/usr/bin/env python3
"""Lends the `ollama` command an API key: a relay on this machine alone that adds the key to every request.

It needs Python 3.9 or later and nothing else: copy this one file to where the command is.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import json
import os
import re
import ssl
import sys
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

BLOCK = 64 * 1024
LINGER = 10.0  # seconds
# One of the two left, of which the other hears, or the shim itself ends.
GONE = (OSError, EOFError, asyncio.TimeoutError, asyncio.CancelledError)
# Never passed on: what holds for one connection, what says who the client is, a wait for a go-ahead of ours.
DROPPED = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "expect", "host"}
DROPPED |= {"authorization", "x-api-key", "cookie"}


class Refused(Exception):
    """The shim itself answers: a status and a sentence, in Ollama's shape."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        body = json.dumps({"error": text}).encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.answer = head.encode() + b"Connection: close\r\n\r\n" + body


class Shim:
    """Relays to one gateway: a connection there for each request here."""

    def __init__(self, gateway: SplitResult, key: str) -> None:
        self.gateway = gateway
        self.key = key
        self.tls = ssl.create_default_context() if gateway.scheme == "https" else None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection, which brings one request."""
        try:
            with contextlib.suppress(*GONE):
                try:
                    await self.relay(reader, writer)
                except Refused as refused:
                    writer.write(refused.answer)
                # Closing under a client that still sends would take its answer back.
                writer.write_eof()
                await asyncio.wait_for(discard(reader), LINGER)
        finally:
            writer.close()

    async def relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Sends a request on and its answer back, until the answer ends or the client leaves."""
        head = self.translated(await head_from(reader))
        port = self.gateway.port or (443 if self.tls else 80)
        try:
            up, down = await asyncio.open_connection(self.gateway.hostname, port, ssl=self.tls, limit=BLOCK)
        except OSError as error:
            raise Refused("502 Bad Gateway", f"{self.gateway.netloc} can't be reached: {error}") from None
        down.write(head)
        ways = [asyncio.create_task(answer(up, writer)), asyncio.create_task(send(reader, down))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if ways[0].done():
                ways[0].result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            down.close()

    def translated(self, lines: list[str]) -> bytes:
        """Returns the head for the gateway; raises Refused for what no program on this machine would send."""
        line = re.fullmatch(r"([A-Z]+) (/[!-~]*) HTTP/1\.[01]", lines[0])
        if not line:
            raise Refused("400 Bad Request", "This is not a request for Ollama.")
        if values(lines, "origin") or values(lines, "sec-fetch-site"):
            raise Refused("403 Forbidden", "No web page may use this relay, only programs.")
        hosts = values(lines, "host")
        if len(hosts) != 1 or not is_loopback(urlsplit(f"//{hosts[0]}").hostname or ""):
            raise Refused("403 Forbidden", "Call this relay 127.0.0.1 or localhost: set OLLAMA_HOST so.")
        start = f"{line[1]} {self.gateway.path.rstrip('/')}{line[2]} HTTP/1.1"
        return rewritten(lines, start, f"Host: {self.gateway.netloc}", f"Authorization: Bearer {self.key}")


async def send(reader: asyncio.StreamReader, down: asyncio.StreamWriter) -> None:
    """Passes on what the client sends until it leaves; a gateway that heard enough may still be answering."""
    while data := await reader.read(BLOCK):
        if not down.is_closing():
            down.write(data)
            with contextlib.suppress(ConnectionError):
                await down.drain()


async def discard(reader: asyncio.StreamReader) -> None:
    """Reads until the client leaves."""
    while await reader.read(BLOCK):
        pass


async def answer(up: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Passes the answer back as it comes."""
    try:
        lines = await head_from(up)
    except (OSError, EOFError):
        raise Refused("502 Bad Gateway", "The gateway broke off before it answered: try again.") from None
    writer.write(rewritten(lines, lines[0]))
    while data := await up.read(BLOCK):
        writer.write(data)
        await writer.drain()


async def head_from(reader: asyncio.StreamReader) -> list[str]:
    """Reads the head of a request or an answer; returns its lines."""
    try:
        return (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
    except asyncio.LimitOverrunError:
        raise Refused("400 Bad Request", "This is not HTTP, or too much of it.") from None


def name_of(line: str) -> str:
    """Returns the name of a head's field, in lower case."""
    return line.partition(":")[0].strip().lower()


def values(lines: list[str], name: str) -> list[str]:
    """Returns the values of the fields of that name."""
    return [line.partition(":")[2].strip() for line in lines[1:] if name_of(line) == name]


def rewritten(lines: list[str], start: str, *added: str) -> bytes:
    """Returns a head for a connection of its own: another first line, without what is dropped."""
    kept = [line for line in lines[1:] if name_of(line) not in DROPPED]
    return "\r\n".join([start, *kept, *added, "Connection: close", "", ""]).encode("latin-1")


def is_loopback(host: str) -> bool:
    """Tells whether a name or an address is this machine's own."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


async def main(arguments: list[str]) -> None:
    """Listens until Ctrl-C, where nobody but this machine's programs can reach it."""
    parser = argparse.ArgumentParser("ollama-shim", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", type=urlsplit, help="the gateway, as https://gateway.example.org; a path may follow")
    parser.add_argument("--port", type=int, default=11435, help="port to listen on at 127.0.0.1 (default: 11435)")
    parser.add_argument("--key-file", type=Path, help="file with the API key (default: the variable OLLAMA_API_KEY)")
    given = parser.parse_args(arguments)
    url: SplitResult = given.url
    if url.scheme not in {"http", "https"} or not url.hostname or url.query or "@" in url.netloc:
        parser.error("the URL must be like https://gateway.example.org, without a key, a user or a query in it")
    key = (given.key_file.read_text() if given.key_file else os.environ.get("OLLAMA_API_KEY", "")).strip()
    if not re.fullmatch(r"[!-~]+", key):
        parser.error("no key: put it into the variable OLLAMA_API_KEY, or into a file and name that with --key-file")
    server = await asyncio.start_server(Shim(url, key).serve, "127.0.0.1", given.port, limit=BLOCK)
    here = "{}:{}".format(*server.sockets[0].getsockname())
    sys.stdout.write(f"{here} relays to {url.geturl()}: OLLAMA_HOST={here} ollama run mistral\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1:]))
    except OSError as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        pass
