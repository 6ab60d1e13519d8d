"""docs/settings.md and .env.example say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from gateway.env import Env
from tests.harness import BASE_DIR

DOCUMENT = (BASE_DIR / "docs" / "settings.md").read_text()
EXAMPLE = (BASE_DIR / ".env.example").read_text()


def written(value: object) -> str:
    """A default as people write it into `.env`."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list():
            return ",".join(value)
        case _:
            return str(value)


def test_the_document_lists_every_setting_with_its_meaning_and_default_in_order() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \| (?:`(.+)`|–) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [(name, field.description, written(field.default)) for name, field in Env.model_fields.items()]


def test_the_example_lists_every_setting_with_its_meaning_and_default_in_order() -> None:
    found = [
        (name, " ".join(comment.replace("\n# ", " ").removeprefix("# ").split()), value)
        for comment, name, value in re.findall(r"((?:^# [^─].*\n)+)^#([A-Z_]+)=(.*)$", EXAMPLE, re.MULTILINE)
    ]
    assert found == [(name, field.description, written(field.default)) for name, field in Env.model_fields.items()]


def test_the_example_is_read_as_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(re.sub(r"^#([A-Z_]+=)", r"\1", EXAMPLE, flags=re.MULTILINE))
    example, nothing = Env(_env_file=path), Env(_env_file=None)
    assert example.model_dump(exclude={"SECRET_KEY", "KEY_PEPPER"}) == nothing.model_dump(
        exclude={"SECRET_KEY", "KEY_PEPPER"}
    )


def test_the_example_sets_nothing_when_copied() -> None:
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []
