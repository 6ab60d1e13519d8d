"""What tests of keys ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apikeys.feed import KeyFeed
from apikeys.keyring import ring
from apikeys.last_used import LastUsed
from tests.postgres import Postgres, binaries


@pytest.fixture
def own_feed(db: None) -> Iterator[KeyFeed]:
    """A feed over the process's ring that moves only when told to: `load()`, `poll()`."""
    ring.replace([])
    yield KeyFeed(ring, LastUsed())
    ring.replace([])


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the tests' own; whoever stops it starts it again."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed here, or nobody may run it: see .ci/run")
    cluster = Postgres()
    try:
        yield cluster.start()
    finally:
        cluster.remove()
