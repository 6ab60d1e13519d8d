"""The compiled requirements: pinned, hashed, of one mind, and bound to no index."""

from __future__ import annotations

import re

import pytest

from tests.harness import BASE_DIR

FOLDER = BASE_DIR / "requirements"
NAMES = ("base", "dev", "postgres", "engine", "clients", "rival-litellm", "rival-ollaguard", "profile")


def pins(name: str) -> dict[str, str]:
    """The version of each package."""
    return dict(
        re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^\s;]+)", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE)
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_package_is_pinned_and_hashed(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text()
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert entries
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_index_is_named(name: str) -> None:
    assert "://" not in (FOLDER / f"{name}.txt").read_text()
    assert not re.search(r"^--", (FOLDER / f"{name}.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", ["dev", "postgres"])
def test_an_extension_pins_what_the_base_pins(name: str) -> None:
    assert pins("base").items() <= pins(name).items()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_asked_for_is_compiled(name: str) -> None:
    asked = re.findall(r"^([A-Za-z0-9_.-]+)", (FOLDER / f"{name}.in").read_text(), re.MULTILINE)
    compiled = {package.lower().replace("_", "-") for package in pins(name)}
    assert {package.lower().replace("_", "-") for package in asked if not package.startswith("-")} <= compiled
