"""What tests of usage ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.usage.journals import Writer


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """A living writer of a journal."""
    found = Writer(tmp_path / "journal")
    yield found
    found.die()
