"""Logs for machines: in production every line that the server writes is one JSON object with `time` and `level`."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from django.core.management.base import OutputWrapper

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

log = logging.getLogger("gateway")


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON; a traceback is a field of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without its end."""
        said = {
            "time": stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message_of(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            said["exception"] = record.exc_info[0].__qualname__
            said["traceback"] = self.formatException(record.exc_info)
        return json_line(said)


def message_of(record: logging.LogRecord) -> str:
    """Returns a record's message; one whose arguments don't fit its format is shown as it is."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 -- whatever somebody's __str__ raises
        return str(record.msg)


def stamp(seconds: float) -> str:
    """Writes a time (epoch seconds) in UTC with its milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def json_line(said: dict[str, Any]) -> str:
    """Writes a line; text that is not Unicode (half a surrogate pair) is escaped."""
    try:
        return orjson.dumps(said).decode()
    except TypeError:
        safe = {name: value.encode(errors="backslashreplace").decode() for name, value in said.items()}
        return orjson.dumps(safe).decode()


class JsonOutput(OutputWrapper):
    """A command's stdout or stderr: each line that is written to it becomes a line of the log."""

    def __init__(self, out: Any, level: str) -> None:
        super().__init__(out)
        self.stream = out
        self.level = level

    def write(  # type: ignore[override]  # as Django's own has it
        self, msg: str = "", style_func: Callable[[str], str] | None = None, ending: str | None = None
    ) -> None:
        """Writes the lines of a text that hold anything; neither style nor ending apply to JSON."""
        del style_func, ending
        for line in str(msg).splitlines():
            if line.strip():
                said = {"level": self.level, "logger": "gateway.serve", "message": " ".join(line.split())}
                print(json_line({"time": stamp(time.time()), **said}), file=self.stream, flush=True)


def log_everything() -> None:
    """Sends warnings of Python, and exceptions that nothing catches, to the log too."""
    logging.captureWarnings(capture=True)
    sys.excepthook = log_uncaught
    threading.excepthook = log_uncaught_in_thread
    sys.unraisablehook = log_unraisable


def log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Logs the exception that ends the process; Ctrl-C is none."""
    if not issubclass(kind, KeyboardInterrupt):
        log.critical("Uncaught %s", kind.__qualname__, exc_info=(kind, error, trace))


def log_uncaught_in_thread(said: threading.ExceptHookArgs) -> None:
    """Logs the exception that ends a thread."""
    if said.exc_value is not None and not isinstance(said.exc_value, SystemExit):
        name = said.thread.name if said.thread is not None else "?"
        trace = (said.exc_type, said.exc_value, said.exc_traceback)
        log.error("Uncaught %s in the thread %s", said.exc_type.__qualname__, name, exc_info=trace)


def log_unraisable(said: sys.UnraisableHookArgs) -> None:
    """Logs where an exception came from that could not be raised, such as one of a destructor."""
    frames = "".join(traceback.format_tb(said.exc_traceback))
    log.error("%s (%s)\n%s", said.err_msg or "Ignored exception", said.exc_type.__qualname__, frames)
