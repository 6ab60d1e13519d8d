"""Forms with a file (multipart/form-data, RFC 7578): parsed strictly, and written again for Ollama.

Django's parser takes more than the standard allows: it ends a part at any bytes that look like the boundary, skips
parts without a name, and does not mind an end that is missing.  What it would misread is refused here.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from django.core.exceptions import SuspiciousOperation
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from django.utils.http import parse_header_parameters

from proxy.exceptions import BadBody

if TYPE_CHECKING:
    from collections.abc import Iterable

MEDIA_TYPE = "multipart/form-data"
# RFC 2046, 5.1.1.
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
# A larger form is parsed in a thread, and only one at a time: while it is parsed it is in memory twice.
PARSED_AT_ONCE = 2**16
THREAD = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forms")
# The boundary of what is sent to Ollama; no client knows it, so none can write it into a field or a file.
OUR_BOUNDARY = secrets.token_hex(16)
OUR_TYPE = f"{MEDIA_TYPE}; boundary={OUR_BOUNDARY}"
MAX_FILE_NAME = 100
# More than any client sends: each part costs many times the memory of its few bytes.
MAX_PARTS = 100
OCTETS = "application/octet-stream"
CONTENT_TYPE = re.compile(r"[a-z]{1,20}/[a-zA-Z0-9.+-]{1,60}")


class FormFile(NamedTuple):
    """A file in a form; its bytes lie in pieces."""

    field: str
    name: str
    content_type: str
    pieces: list[bytes]

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return sum(map(len, self.pieces))


class Form(NamedTuple):
    """The fields of a form in their order, repeated ones more than once, and its files."""

    fields: list[tuple[str, str]]
    files: list[FormFile]


class Collector(FileUploadHandler):
    """Keeps files in memory, whatever Django's settings say: the body that they came in was bounded."""

    chunk_size = 2**18

    def __init__(self) -> None:
        super().__init__()
        self.files: list[FormFile] = []

    def new_file(self, field_name: str, file_name: str, content_type: str, *rest: Any, **others: Any) -> None:
        """Begins a file."""
        super().new_file(field_name, file_name, content_type, *rest, **others)
        self.files.append(FormFile(field_name, file_name, content_type, []))

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:  # noqa: ARG002 -- Django's signature
        """Takes the next bytes of the file."""
        self.files[-1].pieces.append(raw_data)

    def file_complete(self, file_size: int) -> None:
        """Has nothing to return: the file is among `files`."""


class Parser(MultiPartParser):
    """Django's parser, which otherwise drops files whose name has nothing that can be shown."""

    def sanitize_file_name(self, file_name: str) -> str:
        """Returns a name without folders and control characters, "file" where nothing is left of it."""
        return super().sanitize_file_name(file_name) or "file"


def boundary_of(content_type: str) -> str:
    """Returns the boundary that a Content-Type names; raises BadBody where it is not that of a form."""
    try:
        media_type, options = parse_header_parameters(content_type)
    except (ValueError, LookupError):
        media_type, options = "", {}
    if media_type != MEDIA_TYPE:
        raise BadBody(f"Send a form with the file in it: Content-Type must be {MEDIA_TYPE}.")
    boundary = options.get("boundary", "")
    if not BOUNDARY.fullmatch(boundary):
        raise BadBody("The Content-Type names no valid boundary: let the HTTP library write this header.")
    return boundary


async def read_form(raw: bytes, boundary: str) -> Form:
    """Parses a form; raises BadBody."""
    if len(raw) <= PARSED_AT_ONCE:
        return parse(raw, boundary)
    return await asyncio.get_running_loop().run_in_executor(THREAD, parse, raw, boundary)


def parse(raw: bytes, boundary: str) -> Form:
    """Parses a form; raises BadBody."""
    parts = count_parts(raw, boundary.encode())
    collector = Collector()
    meta = {"CONTENT_TYPE": f'{MEDIA_TYPE}; boundary="{boundary}"', "CONTENT_LENGTH": str(len(raw))}
    try:
        values, _ = Parser(meta, BytesIO(raw), [collector], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation, ValueError, LookupError):
        raise BadBody("The form can't be read: a part is malformed, too large, or there are too many.") from None
    fields = [(name, value) for name in values for value in values.getlist(name)]
    if len(fields) + len(collector.files) != parts:
        raise BadBody("The form can't be read: each part needs a Content-Disposition with a name, in UTF-8.")
    return Form(fields, collector.files)


def count_parts(raw: bytes, boundary: bytes) -> int:
    """Returns how many parts a form has; raises BadBody unless its boundary stands where it must, and only there."""
    mark = b"--" + boundary
    marks = raw.count(mark)
    if marks > MAX_PARTS + 1:
        raise BadBody(f"The form can't be read: its boundary stands there more than {MAX_PARTS} times.")
    lines = list(re.finditer(rb"(?:\A|\r\n)%b(--|[ \t]*\r\n)" % re.escape(mark), raw))
    # The end of one line is also the beginning of the next where a part is empty, which no part may be.
    if not lines or lines[-1][1] != b"--" or raw[lines[-1].end() :].strip():
        raise BadBody("The form can't be read: its last line, the boundary with two hyphens behind it, is missing.")
    if len(lines) != marks or any(line[1] == b"--" for line in lines[:-1]):
        raise BadBody("The form can't be read: its boundary stands within a part.")
    return len(lines) - 1


def written(fields: Iterable[tuple[str, str]], file: FormFile) -> list[bytes]:
    """Writes a form for Ollama, in pieces; the names of its fields are the caller's own."""
    pieces = [
        f'--{OUR_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", file.name)[-MAX_FILE_NAME:]
    kind = file.content_type if CONTENT_TYPE.fullmatch(file.content_type) else OCTETS
    head = (
        f'--{OUR_BOUNDARY}\r\nContent-Disposition: form-data; name="{file.field}"; filename="{name}"\r\n'
        f"Content-Type: {kind}\r\n\r\n"
    )
    return [*pieces, head.encode(), *file.pieces, f"\r\n--{OUR_BOUNDARY}--\r\n".encode()]
