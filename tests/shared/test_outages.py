"""The shared ledger while Redis is gone, slow, empty, new, or lies."""

from __future__ import annotations

import asyncio
import logging
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from time import monotonic

import pytest

from gateway.addresses import listening
from tests.redis_server import RedisServer
from tests.shared.conftest import STEP, die, ledger_on, left
from usage.dimensions import CONCURRENCY, DAY, REQUESTS, Allowance
from usage.ledger import Clock, Exhausted, Ledger, Unavailable
from usage.metrics import metrics
from usage.shared import messages
from usage.shared.ledger import SharedLedger, shared_ledger
from usage.shared.link import Sums

pytestmark = pytest.mark.anyio
LIMITS = Allowance("key:a", CONCURRENCY, 3), Allowance("key:a", DAY, 1000)
GRACE = 0.4


def spent(amount: Callable[[], int]) -> Sums:
    """A database that knows of so many tokens."""

    def known(now: float) -> Ledger:
        ledger = Ledger(STEP, Clock(lambda: now, lambda: now))
        ledger.restore({("key:a", DAY): amount()})
        return ledger

    return known


async def there(ledger: SharedLedger) -> None:
    """Waits until Redis answers again."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ledger.look(())
            except Unavailable:
                await asyncio.sleep(0.02)


async def test_while_redis_is_gone_nothing_is_reserved_and_nothing_waits_for_longer_than_the_grace(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with ledger_on(own_redis, grace=GRACE) as ledger:
        held = await ledger.reserve(LIMITS, 100, None)
        own_redis.stop()
        began = monotonic()
        asked = [ledger.reserve(LIMITS, 1, None) for _ in range(10)]
        assert all(isinstance(said, Unavailable) for said in await asyncio.gather(*asked, return_exceptions=True))
        assert GRACE / 2 < monotonic() - began < GRACE + 2
        assert not await held.extend()
        began = monotonic()
        with pytest.raises(Unavailable):
            await ledger.reserve(LIMITS, 1, None)
        held.settle(150)
        assert monotonic() - began < GRACE / 2
        own_redis.start()
        await there(ledger)
        assert [(record.levelname, record.getMessage()[:18]) for record in caplog.records] == [
            ("ERROR", "Redis is away (Con"),
            ("WARNING", "Redis lost the sha"),
            ("WARNING", "Redis is there aga"),
        ]


async def test_a_redis_that_is_back_within_the_grace_is_not_missed(own_redis: RedisServer) -> None:
    async with ledger_on(own_redis, grace=10) as ledger:
        await ledger.reserve(LIMITS, 100, None)
        own_redis.stop()
        asking = asyncio.create_task(ledger.reserve(LIMITS, 100, None))
        await asyncio.sleep(0)
        await asyncio.to_thread(own_redis.start)
        assert (await asking).output == STEP
        assert await left(ledger, LIMITS[0]) == 1


async def test_an_emptied_redis_starts_from_the_database_and_from_what_runs(redis: RedisServer) -> None:
    known = 0
    async with (
        ledger_on(redis, "one", sums=spent(lambda: known)) as one,
        ledger_on(redis, "two", sums=spent(lambda: known)) as two,
    ):
        runs = await one.reserve(LIMITS, 100, None)
        (await two.reserve(LIMITS, 10, None)).settle(200)
        await two.look(())
        known = 200
        redis.say("FLUSHALL")
        await asyncio.gather(one.look(()), two.look(()))
        assert await left(two, LIMITS[1]) == 1000 - 200 - 100 - STEP
        assert await left(two, LIMITS[0]) == 2
        assert await runs.extend()
        runs.settle(300)
        await one.look(())
        assert [await left(two, limit) for limit in LIMITS] == [3, 500]


@pytest.mark.parametrize("reason", ["emptied", "restarted or replaced"])
async def test_each_process_says_once_that_the_shared_counters_were_lost(
    own_redis: RedisServer, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    before = metrics.lost_counters[reason,]

    def lost() -> list[str]:
        return [record.getMessage() for record in caplog.records if "lost the shared counters" in record.getMessage()]

    async with ledger_on(own_redis, "one", grace=5) as one, ledger_on(own_redis, "two", grace=5) as two:
        assert lost() == [], "a count that begins is none that was lost"
        for times in (1, 2):
            if reason == "emptied":
                own_redis.say("FLUSHALL")
            else:
                own_redis.stop()
                await asyncio.to_thread(own_redis.start)
            for _ in range(3):
                await asyncio.gather(there(one), there(two))
            assert len(lost()) == 2 * times
            assert all(f"it was {reason}" in line and "restored from the database" in line for line in lost())
            assert metrics.lost_counters[reason,] == before + 2 * times


async def test_a_redis_that_was_started_anew_from_an_old_copy_is_not_believed() -> None:
    redis = RedisServer()
    try:
        redis.start()
        async with ledger_on(redis, grace=5, sums=spent(lambda: 700)) as ledger:
            assert await left(ledger, LIMITS[1]) == 300
            assert b"OK" in redis.say("SAVE")
            (await ledger.reserve(LIMITS, 10, 100)).settle(50)
            await ledger.look(())
            redis.stop()
            await asyncio.to_thread(redis.start)
            assert await left(ledger, LIMITS[1]) == 300
            assert b"{gw}:epoch" in redis.say("KEYS", "*")
            names = {name.split(b":")[1] for name in redis.say("KEYS", "*").split() if name.startswith(b"{gw}:")}
            assert len(names) == 2, "the former count is gone: there is an epoch, and what was counted in it"
    finally:
        redis.remove()


@pytest.mark.parametrize(("lag", "rest"), [(-60.0, 870), (60.0, 770)])
async def test_what_ended_while_redis_was_away_counts_once_if_the_account_had_the_time_to_tell(
    own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch, lag: float, rest: int
) -> None:
    monkeypatch.setattr(messages, "JOURNAL_LAG", lag)
    known = 0
    async with ledger_on(own_redis, grace=GRACE, sums=spent(lambda: known)) as ledger:
        early, late = await ledger.reserve(LIMITS, 10, 100), await ledger.reserve(LIMITS, 10, 100)
        own_redis.stop()
        early.settle(100)
        known = 100
        await asyncio.to_thread(own_redis.start)
        await there(ledger)
        late.settle(30)
        await ledger.look(())
        assert [await left(ledger, limit) for limit in LIMITS] == [3, rest]


async def test_a_redis_that_hangs_is_away_and_what_was_given_up_is_given_back(own_redis: RedisServer) -> None:
    async with ledger_on(own_redis, grace=GRACE) as ledger:
        held = await ledger.reserve(LIMITS, 100, 50)
        own_redis.pause()
        asked = [ledger.reserve(LIMITS, 100, None) for _ in range(10)]
        assert all(isinstance(said, Unavailable) for said in await asyncio.gather(*asked, return_exceptions=True))
        held.settle(120)
        await asyncio.sleep(3 * GRACE)  # it is asked again and again meanwhile
        own_redis.go_on()
        await there(ledger)
        await ledger.look(())
        assert [await left(ledger, limit) for limit in LIMITS] == [3, 880]
        assert not ledger.running


async def test_a_message_whose_answer_was_lost_is_applied_once(redis: RedisServer) -> None:
    async with ledger_on(redis) as ledger:
        link = ledger.messages.link
        real = link.call
        lose = True

        async def deaf(*command: object) -> object:
            nonlocal lose
            said = await real(*command)
            if command[0] == "EVALSHA" and lose:
                lose = False
                await link.close()
                raise ConnectionResetError
            return said

        async def call(*command: object) -> object:
            try:
                return await deaf(*command)
            except ConnectionResetError:
                from usage.shared.link import Away

                raise Away("lost") from None

        link.call = call  # type: ignore[method-assign]
        held = await ledger.reserve(LIMITS, 100, None)
        assert await left(ledger, LIMITS[0]) == 2
        lose = True
        held.settle(300)
        await ledger.look(())
        assert [await left(ledger, limit) for limit in LIMITS] == [3, 700]


async def test_a_forgotten_script_is_told_again(redis: RedisServer) -> None:
    async with ledger_on(redis) as ledger:
        assert b"OK" in redis.say("SCRIPT", "FLUSH")
        assert (await ledger.reserve(LIMITS, 100, None)).output == STEP


async def test_keys_of_the_wrong_kind_let_nobody_in(redis: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async with ledger_on(redis) as ledger:
        space = f"{{gw}}:{ledger.messages.link.epoch.name}"  # type: ignore[union-attr]  # it has begun
        redis.say("SET", f"{space}:budgets", "nonsense")
        for _ in range(3):
            with pytest.raises(Unavailable):
                await ledger.reserve(LIMITS, 100, None)
        redis.say("DEL", f"{space}:budgets")
        await ledger.look(())
        assert (await ledger.reserve(LIMITS, 100, None)).output == STEP


@asynccontextmanager
async def liar(answer: bytes) -> AsyncIterator[int]:
    """A server that answers the same to everything; yields its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # it is one
        with suppress(ConnectionError), closing(writer):
            while await reader.read(65536):
                writer.write(answer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for _ in range(10):  # connections that came last are taken by now
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)


@pytest.mark.parametrize(
    "answer",
    [
        b"+OK\r\n",
        b":1\r\n",
        b"$-1\r\n",
        b"*0\r\n",
        b"$2\r\n{}\r\n",
        b"-ERR hunter2\r\n",
        b"HTTP/1.1 400 Bad\r\n\r\n",
        b"\0",
    ],
)
async def test_what_is_no_redis_lets_nobody_in(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with liar(answer) as port:
        ledger = shared_ledger(f"redis://:hunter2@127.0.0.1:{port}/0", GRACE, STEP, "p")
        await ledger.start(lambda _now: Ledger(1))
        with pytest.raises(Unavailable):
            await ledger.reserve([Allowance("key:a", REQUESTS, 10)], 1, None)
        await die(ledger)
    assert "Redis is away" in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_password_is_needed_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    redis = RedisServer("--requirepass", "s3cret")
    try:
        redis.start()
        for password, works in (("s3cret", True), ("hunter2", False)):
            ledger = shared_ledger(f"redis://:{password}@127.0.0.1:{redis.port}/0", GRACE, STEP, "p")
            await ledger.start(lambda _now: Ledger(1))
            try:
                assert (await ledger.reserve(LIMITS, 1, None)).output == STEP
                assert works
            except Unavailable:
                assert not works
            await die(ledger)
    finally:
        redis.remove()
    assert "s3cret" not in caplog.text
    assert "hunter2" not in caplog.text


async def test_a_database_that_is_away_lets_nobody_in_until_it_is_back(redis: RedisServer) -> None:
    away = True

    def known(now: float) -> Ledger:
        if away:
            raise OSError("no database")
        return spent(lambda: 900)(now)

    async with ledger_on(redis, grace=GRACE, sums=known) as ledger:
        with pytest.raises(Unavailable):
            await ledger.reserve(LIMITS, 1, None)
        away = False
        await there(ledger)
        with pytest.raises(Exhausted):
            await ledger.reserve(LIMITS, 101, None)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A key, and a certificate for localhost that signed itself."""
    key, path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", path], check=True, capture_output=True)
    return key, path


async def test_redis_is_spoken_to_over_tls(certificate: tuple[Path, Path]) -> None:
    key, path = certificate
    redis = RedisServer()
    tls = listening("127.0.0.1", 0).port
    redis.options = (
        *("--tls-port", str(tls), "--tls-cert-file", str(path), "--tls-key-file", str(key)),
        *("--tls-ca-cert-file", str(path), "--tls-auth-clients", "no"),
    )
    try:
        redis.start()
        for query, works in ((f"?ssl_ca_certs={path}", True), ("", False)):
            ledger = shared_ledger(f"rediss://localhost:{tls}/0{query}", 1, STEP, "p")
            await ledger.start(lambda _now: Ledger(1))
            try:
                assert (await ledger.reserve(LIMITS, 1, None)).output == STEP
                assert works
            except Unavailable:
                assert not works
            await die(ledger)
    finally:
        redis.remove()
