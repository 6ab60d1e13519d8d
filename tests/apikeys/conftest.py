"""What tests of keys ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apikeys.feed import KeyFeed
from apikeys.keyring import ring


@pytest.fixture
def own_feed(db: None) -> Iterator[KeyFeed]:
    """A feed over the process's ring that moves only when told to: `load()`, `poll()`."""
    ring.replace([])
    yield KeyFeed(ring)
    ring.replace([])
