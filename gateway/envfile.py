"""Puts the secrets that nobody has chosen yet into `.env`, once."""

from __future__ import annotations

import fcntl
import io
import os
import re
import secrets
import stat

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from gateway.env import GENERATED, Env, SettingError, env_file, read

MODE = 0o600
_is_bare = re.compile(r"[A-Za-z0-9_.,:/@%+=-]*").fullmatch


def ensure_secrets() -> None:
    """Writes SECRET_KEY and KEY_PEPPER into `.env` (mode 0600) when neither it nor the environment has them.

    Two first starts at once agree on one pair. Raises SettingError where it can't be done.
    """
    if not missing(read()):
        return
    path = env_file()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, MODE)
        try:
            append_missing(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SettingError(
            f"SECRET_KEY and KEY_PEPPER are not set, and {path} can't take them ({error.strerror or error}): "
            "make it writable, or set both in the environment"
        ) from None


def missing(env: Env) -> list[str]:
    """Returns the names of the generated settings that have no value."""
    return [name for name in GENERATED if not getattr(env, name)]


def append_missing(descriptor: int) -> None:
    """Appends a random value for each missing name: whole or not at all, and nobody else meanwhile."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("it is not a regular file")
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    names = missing(read())
    if not names:
        return
    os.fchmod(descriptor, MODE)
    size = os.fstat(descriptor).st_size
    text = "".join(f"{name}={secrets.token_urlsafe(48)}\n" for name in names).encode()
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        text = b"\n" + text
    # Half a line would become a wrong secret at the next start: a short write (disk full) is taken back.
    if os.write(descriptor, text) != len(text):
        os.ftruncate(descriptor, size)
        raise OSError("the disk is full")


def replace(values: dict[str, str]) -> None:
    """Gives settings other values in `.env`, whole or not at all; all else in it stays, byte for byte.

    Raises OSError where the file can't be written, and for a value that it can't hold.
    """
    path = env_file().resolve()  # a link stays one
    text = path.read_bytes().decode() if path.exists() else ""
    kept = "".join(each.original.string for each in parse_stream(io.StringIO(text)) if each.key not in values)
    if kept and not kept.endswith(("\n", "\r")):
        kept += "\n"
    scratch = path.with_name(f".{path.name}.new")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(kept + "".join(f"{name}={quoted(value)}\n" for name, value in values.items()))
        read_back = dotenv_values(scratch)
        wrong = [name for name, value in values.items() if read_back[name] != value]
        if wrong:
            raise OSError(f"its format can't hold the value of {', '.join(wrong)}")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def quoted(value: str) -> str:
    """Returns a value as `.env` has it: bare where that is read back as it stands, else in single quotes."""
    if _is_bare(value):
        return value
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
