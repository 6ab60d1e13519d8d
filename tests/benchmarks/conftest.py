from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from benchmarks.stub_client import StubProcess


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> None:
    """Lets the stub forget what other tests did with it."""
    if "stub" in request.fixturenames:
        stub: StubProcess = request.getfixturevalue("stub")
        stub.reset()
