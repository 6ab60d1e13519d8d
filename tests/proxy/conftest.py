from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from django.conf import settings

from apikeys.feed import feed
from apikeys.keyring import ring
from apikeys.models import Key
from benchmarks.stub_client import StubProcess
from proxy.upstream import connect
from tests.harness import GatewayServer
from tests.proxy.inside import listening, serving
from tests.proxy.wire import FakeUpstream, fake_upstream

SMALL = {
    "UPSTREAM_FIRST_BYTE_TIMEOUT": 0.5,
    "UPSTREAM_IDLE_TIMEOUT": 0.5,
    "UPSTREAM_CONNECT_TIMEOUT": 0.5,
    "CLIENT_TIMEOUT": 1,
    "MAX_BODY_BYTES": 64 * 1024,
    "MAX_BUFFERED_BYTES": 100 * 1024,
    "MAX_HEADER_BYTES": 8 * 1024,
}


@pytest.fixture(scope="session")
def small_gateway(stub: StubProcess) -> Iterator[GatewayServer]:
    """A gateway in front of the stub with small limits and little patience."""
    with GatewayServer(ollama_url=stub.url, **SMALL) as server:
        yield server


@pytest.fixture(scope="session")
def _fake() -> Iterator[FakeUpstream]:
    with fake_upstream() as upstream:
        yield upstream


@pytest.fixture
def fake(_fake: FakeUpstream) -> FakeUpstream:
    """An upstream whose bytes the test writes itself."""
    _fake.seen.clear()
    return _fake


@pytest.fixture(scope="session")
def faked_gateway(_fake: FakeUpstream) -> Iterator[GatewayServer]:
    """A gateway in front of the fake upstream, with little patience for it."""
    patience = {name: value for name, value in SMALL.items() if name.startswith("UPSTREAM")}
    with GatewayServer(ollama_url=_fake.url, **patience) as server:
        yield server


@pytest.fixture
def inside_key(db: None) -> Iterator[str]:
    """A key that is known in this process (tests/proxy/inside.py)."""
    key, secret = Key.objects.issue(label="inside")
    feed.load()
    yield secret
    ring.drop(key.key_id)


@pytest.fixture
async def port(stub: StubProcess) -> AsyncIterator[int]:
    """The port of the application in front of the stub."""
    upstream = connect(settings.ENV, stub.url)
    try:
        with serving(upstream):
            async with listening() as number:
                yield number
    finally:
        await upstream.aclose()
