"""uvicorn's HTTP protocol with a bound on the fields of a head, and one word alone on how a body is framed."""

from __future__ import annotations

from itertools import chain

from gateway.ahead import AheadProtocol

# A header's colon, space and line end.
FIELD_OVERHEAD = 4
# More fields than any client needs; many small ones cost more than their bytes.
MOST_FIELDS = 200
BLANKS = b" \t"
TELLING = frozenset({b"expect", b"transfer-encoding"})


class HeadTooLarge(Exception):
    """A request's head is larger than MAX_HEADER_BYTES, or has too many fields; raised to stop the parser."""


class BadFraming(Exception):
    """A request's body comes in an encoding other than chunked; raised to stop the parser."""


class UnknownVersion(Exception):
    """A request of a version of HTTP that is not served here; raised to stop the parser."""


class FieldsProtocol(AheadProtocol):
    """Takes a head's fields in one step each, since every request has some."""

    in_head = True
    oversized = False
    is_unknown_version = False
    coding: bytes | None = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a field, as uvicorn does; raises HeadTooLarge and BadFraming.

        Blanks around a value are not part of it (RFC 9110, 5.5); the parser leaves those behind it.
        """
        name = name.lower()
        value = value.strip(BLANKS)
        self.headers.append((name, value))
        if name in TELLING and self.in_head:
            if name == b"expect":
                self.expect_100_continue |= value.lower() == b"100-continue"
            elif self.coding is not None or value.lower() != b"chunked":
                raise BadFraming
            else:
                self.coding = value
        if len(self.headers) > MOST_FIELDS:
            self.oversized = True
            raise HeadTooLarge

    def head_size(self) -> int:
        """Returns about how many bytes the head has."""
        fields = sum(map(len, chain.from_iterable(self.headers)))
        return len(self.url) + fields + FIELD_OVERHEAD * len(self.headers)
