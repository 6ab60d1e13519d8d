"""What people read on pages says what is meant in plain terms, and in the same words everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import BASE_DIR

APPS = ("apikeys", "gateway", "proxy", "usage")
# Paraphrases of plain terms, each of which was on a page once.
REPLACED = (
    *(
        "Limit somebody",
        "Leave it",
        "Leave {%",
        "doing now is cut",
        "people and programs that hold a key",
        "is no scope",
    ),
    *(
        "You may not do this",
        "that hears of budgets",
        "user name is free",
        "found without a word",
        "A limit is a limit",
    ),
)


def texts() -> list[Path]:
    """Returns the templates, the modules of the apps, and the README."""
    modules = [path for app in APPS for path in (BASE_DIR / app).rglob("*.py") if "migrations" not in path.parts]
    return [*modules, *(BASE_DIR / "templates").rglob("*.html"), BASE_DIR / "README.md"]


@pytest.mark.parametrize("phrase", REPLACED)
def test_a_plain_term_is_used_for(phrase: str) -> None:
    found = [str(path.relative_to(BASE_DIR)) for path in texts() if phrase in path.read_text()]
    assert not found, f"{phrase!r} is in {found}"
