"""What every test can ask for: the stub Ollama, a gateway in front of it, and gateways with other settings."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import settings as hypothesis_settings

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer, remove_template
from tests.postgres import Postgres, binaries

# A shared machine decides how long an example takes; a deadline would make that a failure.
hypothesis_settings.register_profile("gateway", deadline=None, print_blob=True)
hypothesis_settings.load_profile("gateway")


def pytest_configure() -> None:
    """Ends a run that is told to stop as Ctrl-C does: with the teardown of its fixtures."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run also what repeats in the hundreds or soaks")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the long tests unless they are asked for."""
    if config.getoption("--long"):
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio alone, as the server does."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _no_leftover_template() -> Iterator[None]:
    yield
    remove_template()


@pytest.fixture(scope="session")
def stub() -> Iterator[StubProcess]:
    """The stub Ollama, as a process of its own."""
    with StubProcess() as process:
        yield process


@pytest.fixture(autouse=True)
def _fresh(request: pytest.FixtureRequest) -> None:
    """Lets the stub forget what other tests did with it, whichever of them ran before in this process."""
    if "stub" in request.fixturenames:
        request.getfixturevalue("stub").reset()


@pytest.fixture(scope="session")
def gateway(stub: StubProcess) -> Iterator[GatewayServer]:
    """A gateway in front of the stub, shared by all tests that change nothing about it."""
    with GatewayServer(ollama_url=stub.url) as server:
        yield server


@pytest.fixture
def make_gateway(stub: StubProcess) -> Iterator[Callable[..., GatewayServer]]:
    """Makes started gateways with other settings: `make_gateway(MAX_BODY_BYTES=2048)`; stops them after the test.

    Takes all of GatewayServer's arguments; the stub is the Ollama unless `ollama_url` says otherwise.
    """
    with ExitStack() as servers:
        yield lambda **settings: servers.enter_context(GatewayServer(**{"ollama_url": stub.url, **settings}))


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
