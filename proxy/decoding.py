"""Content codings of request bodies (RFC 9110, 8.4.1), decoded block by block within bounds.

The decoders of all codings stop after a block of output and go on from there: however much a body expands to, no more
than one block of it exists beyond what was taken.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Protocol

import brotli

if TYPE_CHECKING or sys.version_info < (3, 14):
    from backports import zstd
else:
    from compression import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The largest piece of decoded bytes at a time; brotli's decoder may return some more.
BLOCK = 64 * 2**10
# What a decoder takes by itself, in bytes; the window that some need has at most the size of what they decoded.
DECODER_BYTES = 128 * 2**10
# RFC 9659 (3): what every decoder of zstd must take, and senders over HTTP stay below: 8 MiB.
WINDOW_LOG = 23
# A body may be so many times as large as what was received of it, beyond the first FREE bytes.
MOST_RATIO = 200
FREE = 2**20
# gzip and zstd allow a body of several parts, one after the other; each takes a decoder of its own.
MOST_PARTS = 64
SINGLE_PART = frozenset({"br", "deflate"})


class DamagedBody(Exception):
    """A body is not what its coding says, or ends too early."""


class Stream(Protocol):
    """The decoder of one part."""

    unused: bytes

    @property
    def eof(self) -> bool:
        """Tells whether the part has ended."""

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """Yields what the bytes decode to, up to the part's end; what is behind that is then in `unused`."""


class Deflated:
    """Decodes gzip and zlib's format."""

    def __init__(self, wbits: int) -> None:
        self.stream = zlib.decompressobj(wbits)
        self.unused = b""

    @property
    def eof(self) -> bool:
        """Tells whether the part has ended."""
        return self.stream.eof

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """Yields what the bytes decode to."""
        while True:
            block = self.stream.decompress(data, BLOCK)
            yield block
            data = self.stream.unconsumed_tail
            if self.stream.eof:
                self.unused = self.stream.unused_data
                return
            if not data and len(block) < BLOCK:
                return


class Zstandard:
    """Decodes zstd."""

    def __init__(self) -> None:
        self.stream = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})
        self.unused = b""

    @property
    def eof(self) -> bool:
        """Tells whether the part has ended."""
        return self.stream.eof

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """Yields what the bytes decode to."""
        yield self.stream.decompress(data, BLOCK)
        while not self.stream.eof and not self.stream.needs_input:
            yield self.stream.decompress(b"", BLOCK)
        if self.stream.eof:
            self.unused = self.stream.unused_data


class Brotli:
    """Decodes brotli; its decoder raises an error for what is behind the end."""

    unused = b""

    def __init__(self) -> None:
        self.stream = brotli.Decompressor()

    @property
    def eof(self) -> bool:
        """Tells whether the part has ended."""
        return bool(self.stream.is_finished())

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """Yields what the bytes decode to."""
        block = self.stream.process(data, output_buffer_limit=BLOCK)
        # It does not say whether there is more to come of what it has.
        while block or not self.stream.can_accept_more_data():
            yield block
            block = b"" if self.eof else self.stream.process(b"", output_buffer_limit=BLOCK)


FAILURES = (zlib.error, zstd.ZstdError, brotli.error)
# In the order in which clients are told of them.  Raw deflate, which some call `deflate` too, is damaged here.
DECODERS: dict[str, Callable[[], Stream]] = {
    "zstd": Zstandard,
    "br": Brotli,
    "gzip": lambda: Deflated(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: Deflated(zlib.MAX_WBITS | 16),
    "deflate": lambda: Deflated(zlib.MAX_WBITS),
}
SUPPORTED = ", ".join(name for name in DECODERS if name != "x-gzip")


class Decoder:
    """Decodes one body as it comes.  `coding` is one of DECODERS."""

    def __init__(self, coding: str) -> None:
        self.make = DECODERS[coding]
        self.stream: Stream = self.make()
        self.parts_left = 0 if coding in SINGLE_PART else MOST_PARTS - 1
        self.received = 0  # bytes
        self.begun = False  # a part has begun and has not ended

    def blocks(self, data: bytes) -> Iterator[bytes]:
        """Yields the decoded blocks of what came; raises DamagedBody."""
        self.received += len(data)
        try:
            while data:
                if self.stream.eof:
                    if not self.parts_left:
                        raise DamagedBody
                    self.stream = self.make()
                    self.parts_left -= 1
                self.begun = True
                yield from filter(None, self.stream.blocks(data))
                data = self.stream.unused if self.stream.eof else b""
        except FAILURES:
            raise DamagedBody from None

    def end(self) -> None:
        """Raises DamagedBody for a body that ends too early; an empty one is an empty body."""
        if self.begun and not self.stream.eof:
            raise DamagedBody

    def most(self) -> int:
        """Returns how many bytes may have been decoded of what was received."""
        return FREE + MOST_RATIO * self.received
