"""docs/logging.md has every field of the log and every error code there is, and none besides."""

from __future__ import annotations

import json
import logging
import re
import sys

import pytest

from gateway.json_logging import JsonFormatter, JsonOutput, log_unraisable
from gateway.rest import KINDS
from proxy.call import Call
from proxy.report import facts_of
from tests.harness import BASE_DIR

PAGE = (BASE_DIR / "docs" / "logging.md").read_text()
# Routes have kinds, too; and nothing but errors has a word like these.
NO_ERRORS = ("proxy/routes.py", "apikeys/whose.py", "apikeys/models/allowance.py")
CODE = re.compile(
    r"""\bkind=["']([a-z_]+)["']"""  # a refusal's
    r"""|\bkind = ["']([a-z_]+)["'](?: if .* else ["']([a-z_]+)["'])?"""
    r"""|^(?:CLIENT_LEFT|CUT) = \(["']([a-z_]+)["']"""
    r"""|["']error["']: ["']([a-z_]+)["'],\s+["']reason["']""",  # a lost call's
    re.MULTILINE,
)


def rows(heading: str) -> list[str]:
    """The words in the first column of a section's tables."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\| `([a-z_]+)` \|", section, re.MULTILINE)


def codes() -> set[str]:
    """All error codes in the source."""
    found = {*KINDS.values(), "error"}
    for app in ("apikeys", "gateway", "proxy", "usage"):
        for path in (BASE_DIR / app).rglob("*.py"):
            if not str(path).endswith(NO_ERRORS) and "migrations" not in path.parts:
                found |= {code for groups in CODE.findall(path.read_text()) for code in groups if code}
    return found


def test_the_page_has_every_error_code_once() -> None:
    listed = rows("Error codes")
    assert sorted(listed) == sorted(codes())


@pytest.mark.anyio
async def test_the_page_has_every_field_once() -> None:
    of_requests = facts_of(Call("id", "GET", "/", ""), 0.0, 0.0)
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("gateway", logging.ERROR, "", 0, "%s", ("said",), sys.exc_info())
    of_others = json.loads(JsonFormatter().format(record))
    listed = rows("Format")
    assert sorted(listed) == sorted({*of_requests, *of_others, "client"})


def test_a_record_is_one_line_whatever_it_holds() -> None:
    for message, arguments in (
        ("two\nlines %s", ("\r\n\x00",)),
        ("%d", ("not a number",)),
        ("%s \ud800", ("half a pair",)),
        ("%(name)s", ()),
    ):
        record = logging.LogRecord("x", logging.WARNING, "", 0, message, arguments, None)
        line = JsonFormatter().format(record)
        assert "\n" not in line
        assert json.loads(line)["level"] == "warning"


def test_what_a_command_says_becomes_lines(capsys: pytest.CaptureFixture[str]) -> None:
    JsonOutput(sys.stdout, "info").write("  one\n\n two  words\n")
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in said] == ["one", "two words"]
    assert {line["level"] for line in said} == {"info"}


def test_an_exception_that_can_not_be_raised_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    class Said:
        exc_type, exc_value, exc_traceback, err_msg, object = ValueError, None, None, None, None

    log_unraisable(Said())  # type: ignore[arg-type]  # has what is used of it
    assert "Ignored exception (ValueError)" in caplog.text
