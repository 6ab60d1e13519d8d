"""docs/clients.md: every recipe says whether it was run, and those that were are run, as they stand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.clients.conftest import Door
from tests.harness import BASE_DIR, clean_environment

TEXT = (BASE_DIR / "docs" / "clients.md").read_text()
CLIENTS = [
    "curl",
    "ollama (the command)",
    "Programs without any place for a key",
    "ollama-python",
    "ollama-js",
    "openai-python",
    "openai-node",
    "anthropic-python",
    "LangChain",
    "LlamaIndex",
    "Open WebUI",
    "Continue",
    "Claude Code",
    "Codex CLI",
    "opencode",
    "aider",
    "n8n",
]
IN_FRAMEWORKS = {"LangChain", "LlamaIndex"}
NPM = BASE_DIR / "tests" / "clients" / "npm"
SESSIONS = BASE_DIR / "tests" / "clients" / "sessions"


class Recipe(NamedTuple):
    """A block of code, its language, and the section it stands in."""

    section: str
    language: str
    code: str


def sections() -> dict[str, str]:
    """The sections of the page by their headings."""
    _, *parts = re.split(r"^## (.+)$", TEXT, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def recipes() -> list[Recipe]:
    """The blocks of all sections that say that they are run."""
    return [
        Recipe(section, language, code)
        for section, text in sections().items()
        if text.strip().startswith("*Run*")
        for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


@pytest.mark.parametrize("recipe", [pytest.param(one, id=f"{one.section} {one.language}") for one in recipes()])
def test_a_recipe_does_what_it_says(recipe: Recipe, engine_door: Door, request: pytest.FixtureRequest) -> None:
    code = recipe.code
    for placeholder, value in (("https://gateway.example.org", engine_door.url), ("YOUR_KEY", engine_door.key)):
        assert placeholder in code
        code = code.replace(placeholder, value)
    code = code.replace("mistral", engine_door.model)
    match recipe.language:
        case "sh":
            if shutil.which("curl") is None:
                pytest.skip("curl is not installed")
            command = ["bash", "-euo", "pipefail", "-c", code]
        case "js":
            command = [request.getfixturevalue("node"), "--input-type=module", "--eval", code]
        case _:
            python = request.getfixturevalue("frameworks") if recipe.section in IN_FRAMEWORKS else sys.executable
            command = [str(python), "-c", code]
    done = subprocess.run(
        command, cwd=NPM, env=clean_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"\w{2}", done.stdout)
    assert '"error"' not in done.stdout


def test_every_client_has_its_section() -> None:
    assert list(sections()) == CLIENTS


@pytest.mark.parametrize("section", CLIENTS)
def test_a_section_says_whether_it_was_run(section: str) -> None:
    assert re.match(r"\*(Run|Run and recorded|Not run)[*.]", sections()[section].strip())


def test_the_versions_are_those_that_are_run() -> None:
    pinned = {"npm": json.loads((NPM / "package.json").read_text())["dependencies"]}
    for name in ("dev", "clients"):
        text = (BASE_DIR / "requirements" / f"{name}.txt").read_text()
        pinned[name] = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", text, re.MULTILINE))
    seen = 0
    for section, text in sections().items():
        status = text.strip().partition("\n\n")[0]
        if status.startswith("*Run and recorded*"):
            continue
        where = "npm" if "from npm" in status else "clients" if section in IN_FRAMEWORKS else "dev"
        for package, version in re.findall(r"([a-z][\w-]+) (\d+\.\d+\.\d+)", status):
            assert pinned[where][package] == version, section
            seen += 1
    assert seen == 9


def test_the_recorded_versions_are_those_that_were_run() -> None:
    recorded = [json.loads(path.read_text().partition("\n")[0]) for path in SESSIONS.glob("*.jsonl")]
    documented = dict(re.findall(r"^## (.+)\n\n\*Run and recorded\* with .*?([\d.]+\d)", TEXT, re.MULTILINE))
    assert documented == {session["client"]: session["version"] for session in recorded}
