"""Who imports whom, read from the source: the rules that keep each part small enough to understand alone."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.harness import BASE_DIR

OURS = ("gateway", "apikeys", "proxy", "usage", "engine", "benchmarks", "tests")

# What each app may import of the others: whole apps, or single modules.
ALLOWED = {
    "apikeys": ("gateway.rest", "gateway.strictjson", "gateway.context_window"),
    "usage": ("apikeys", "gateway.rest"),
    "proxy": (
        "apikeys",
        "usage.dimensions",
        "usage.ledger",
        "usage.shared",
        "usage.journal",
        "usage.allowances",
        "usage.sole",
        "usage.metrics",
        "gateway.rest",
        "gateway.request",
        "gateway.strictjson",
        "gateway.context_window",
        "gateway.__version__",
    ),
    "engine": (),
    "gateway": ("apikeys", "proxy", "usage", "engine"),
}

# What everybody imports imports nobody.
LEAVES = {
    "gateway.rest": (),
    "gateway.request": (),
    "gateway.strictjson": (),
    "gateway.context_window": (),
    "gateway.values": ("gateway.context_window",),
    "gateway.complaints": (),
    "gateway.secretfiles": ("gateway.complaints",),
    "gateway.variables": ("gateway.values",),
    "gateway.env": ("gateway.context_window", "gateway.variables", "gateway.complaints", "gateway.secretfiles"),
    "gateway.envfile": ("gateway.env",),
}

# One package knows the HTTP client; another client would be a change to it alone.
HTTP_CLIENTS = ("httpx", "aiohttp", "requests", "urllib3")
HTTP_CLIENT_PACKAGE = "proxy.upstream"
# As one package knows Redis, and nobody imports it who does not share limits.
REDIS_PACKAGE = "usage.shared"

# Modules that are arithmetic on plain values: usable and testable without Django, without a loop, without a network.
PURE = (
    "apikeys.chain",
    "apikeys.keys",
    "apikeys.keyring",
    "apikeys.principal",
    "apikeys.unicode_text",
    "gateway.context_window",
    "proxy.dialects.frames",
    "proxy.names",
    "gateway.strictjson",
    "usage.ledger",
    "usage.counters",
    "usage.holding",
    "usage.dimensions",
    "usage.resets",
    "usage.windows",
    "usage.portions",
    "usage.allowances",
    "usage.sole",
    "usage.journal",
    "usage.lines",
    "usage.metrics",
    "usage.process_metrics",
    "usage.refused_calls",
    "usage.rollups",
    "usage.segments",
    "usage.depth",
    "usage.charts",
    "usage.figures",
)
PURE_IMPORTS = (*sys.stdlib_module_names, "orjson", *PURE)

LONGEST_MODULE = 450


def sources() -> dict[str, Path]:
    """The path of each module of the apps, by its dotted name."""
    paths = (path for app in ALLOWED for path in sorted((BASE_DIR / app).rglob("*.py")))
    return {
        ".".join(path.relative_to(BASE_DIR).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
        if "migrations" not in path.parts
    }


def imports(path: Path) -> set[str]:
    """The dotted names that a file imports when it runs; `from a import b` counts as a.b, which may be a module.

    What is imported for type checkers alone binds nothing together at run time, and does not count.
    """
    tree = ast.parse(path.read_text())
    for_types = {node for block in ast.walk(tree) if is_for_types(block) for node in ast.walk(block)}
    found = set()
    for node in ast.walk(tree):
        if node in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def within(name: str, places: tuple[str, ...]) -> bool:
    """Tells whether a dotted name is one of these places or below one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


SOURCES = sources()
IMPORTS = {module: imports(path) for module, path in SOURCES.items()}


def test_the_apps_are_found() -> None:
    assert {module.partition(".")[0] for module in SOURCES} >= {"apikeys", "proxy", "engine", "gateway"}
    assert "django.conf.settings" in IMPORTS["gateway.checks"]


@pytest.mark.parametrize("app", ALLOWED)
def test_an_app_imports_only_what_it_may(app: str) -> None:
    may = (app, *ALLOWED[app])
    assert {
        module: sorted(wrong)
        for module, names in IMPORTS.items()
        if within(module, (app,))
        and (wrong := {name for name in names if within(name, OURS) and not within(name, may)})
    } == {}


@pytest.mark.parametrize("leaf", LEAVES)
def test_what_everybody_imports_imports_nobody(leaf: str) -> None:
    assert {name for name in IMPORTS[leaf] if within(name, OURS) and not within(name, LEAVES[leaf])} == set()


def test_one_package_knows_the_http_client() -> None:
    users = {module for module, names in IMPORTS.items() if any(within(name, HTTP_CLIENTS) for name in names)}
    assert users
    assert {module for module in users if not within(module, (HTTP_CLIENT_PACKAGE,))} == set()


def test_only_the_shared_ledger_imports_redis() -> None:
    users = {module for module, names in IMPORTS.items() if any(within(name, ("redis",)) for name in names)}
    assert users
    assert {module for module in users if not within(module, (REDIS_PACKAGE,))} == set()


@pytest.mark.parametrize("module", sorted(module for module in SOURCES if within(module, PURE)))
def test_a_pure_module_imports_nothing_but_the_standard_library(module: str) -> None:
    assert {name for name in IMPORTS[module] if not within(name, PURE_IMPORTS)} == set()


@pytest.mark.parametrize("path", SOURCES.values(), ids=SOURCES)
def test_a_module_stays_short_enough_to_read(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_MODULE, f"{lines} lines: one idea a module"


# Tests of clients install packages below tests/, which bring test files of their own.
TEST_FILES = [
    path for path in sorted((BASE_DIR / "tests").rglob("test_*.py")) if not {".venv", "node_modules"} & {*path.parts}
]


@pytest.mark.parametrize("path", TEST_FILES, ids=str)
def test_every_test_file_holds_a_test(path: Path) -> None:
    names = {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert any(name.startswith("test_") for name in names)
