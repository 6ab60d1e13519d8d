from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.stub_client import StubProcess
from tests.dialects.front import House, Keyed, keyed, opened

# Log lines that a program can read; no proxy with TLS in front.
HOUSE = {
    "APP_ENV": "production",
    "TLS": "false",
    "MODEL_ALIASES": "gpt-4o=stub,stub-alias=secret,text-embedding-3-small=stub-embed,cheap=stub:cloud",
    "CLIENT_TIMEOUT": "2",
}


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyed:
    """A database with keys of all kinds."""
    return keyed(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def house(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A gateway with keys of all kinds, shared by all tests that change nothing about it."""
    with opened(stub, keys, **HOUSE) as made:
        yield made
