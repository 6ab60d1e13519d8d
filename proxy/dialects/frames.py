"""Cuts a stream of bytes into frames, wherever the network cut it."""

from __future__ import annotations

# Go's own Ollama client allows lines of this size; a frame beyond it is a broken upstream.
MAX_FRAME_BYTES = 8 * 2**20


class FrameTooLong(ValueError):
    """A frame is longer than MAX_FRAME_BYTES."""


class Frames:
    """Passes on whole frames, each as soon as its last byte is there, and keeps the beginning of the next.

    A frame ends with `separator`: a newline for NDJSON, an empty line for event streams.
    """

    __slots__ = ("rest", "separator")

    def __init__(self, separator: bytes) -> None:
        self.separator = separator
        self.rest = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """Returns the frames that this chunk completes, separators included; raises FrameTooLong."""
        separator, rest = self.separator, self.rest
        if not rest and chunk.endswith(separator):
            return chunk
        # The separator may itself be cut in two.
        start = max(0, len(rest) - len(separator) + 1)
        rest += chunk
        end = rest.rfind(separator, start)
        if end < 0:
            if len(rest) > MAX_FRAME_BYTES:
                raise FrameTooLong
            return b""
        end += len(separator)
        whole = bytes(rest[:end])
        del rest[:end]
        return whole

    def end(self) -> bytes:
        """Returns what is left when the stream ends: a frame without its separator, or nothing."""
        left = bytes(self.rest)
        self.rest.clear()
        return left
