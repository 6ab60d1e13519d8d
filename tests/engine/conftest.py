"""The demo engine as tests see it: one real process for the session."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from engine.child import EngineProcess
from engine.errors import EngineError
from engine.fetch import fetch


@pytest.fixture(scope="session")
def cache() -> Path:
    """The cache folder with the model in it; without a network there is none to test with."""
    folder: Path = settings.ENV.ENGINE_CACHE
    try:
        fetch(folder)
    except EngineError as error:
        pytest.skip(f"no demo model: {error}")
    return folder


@pytest.fixture(scope="session")
def engine(cache: Path) -> Iterator[EngineProcess]:
    """A running engine, shared by the tests that only ask it."""
    with EngineProcess(cache) as process:
        yield process


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[httpx.Client]:
    """An HTTP client of the shared engine."""
    with httpx.Client(base_url=engine.url, timeout=60) as client:
        yield client
