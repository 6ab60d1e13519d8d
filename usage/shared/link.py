"""One connection to Redis or Valkey, and what the processes that share it agree on: the present epoch.

An epoch begins when what was counted is lost, or may be: when Redis is empty, was started anew, or another one has
taken its place.  Then one process sums up what the database knows, and all count on from there.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from redis.asyncio.connection import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from usage.counters import Budget, Rate, Requests
from usage.dimensions import DAY, MONTH
from usage.ledger import Ledger

if TYPE_CHECKING:
    from redis.asyncio.connection import AbstractConnection

SCRIPT = Path(__file__).with_name("ledger.lua").read_text()
EPOCH, SEEDING = "{gw}:epoch", "{gw}:seeding"
# Begins an epoch, unless another process has taken the work over.
BEGIN = """
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
"""
SEEDING_SECONDS = 15.0
SEEDING_POLL = 0.1
PORTION = 1000  # fields that are written at once

KEPT_SECONDS = 120  # what counts a minute

# Returns a ledger that knows what was counted before a time (epoch seconds); blocks, and raises the database's errors.
Sums = Callable[[float], Ledger]


class Away(Exception):
    """Redis does not do what it is asked; the text says why, and never holds what a server said."""


class Renewed(Exception):
    """The count has begun anew, or must: the message was not taken."""


class Epoch(NamedTuple):
    """A count from one seed on: of which run of Redis, under which name, and since when by the clock of Redis."""

    run: str
    name: str
    seeded_at: float

    def __str__(self) -> str:
        """Returns it as Redis keeps it."""
        return f"{self.run} {self.name} {self.seeded_at!r}"


def parsed(value: object) -> Epoch | None:
    """Returns the epoch that Redis keeps, None if it keeps none."""
    parts = value.decode(errors="replace").split() if isinstance(value, bytes) else []
    try:
        run, name, seeded_at = parts
        return Epoch(run, name, float(seeded_at))
    except ValueError:
        return None


class Link:
    """The connection; all its methods raise Away, and give up after `patience` seconds."""

    def __init__(self, url: str, patience: float, process: str) -> None:
        self.patience = patience
        self.process = process
        self.sums: Sums = lambda _now: Ledger(1)
        # What is sent once must not be sent again behind our back; and we keep the time.
        options: dict[str, Any] = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "socket_timeout": None}
        pool = ConnectionPool.from_url(url, **options)
        self.connection: AbstractConnection = pool.make_connection()  # type: ignore[no-untyped-call]  # the library has no types here
        self.epoch: Epoch | None = None
        self.ahead = 0.0  # how much the clock of Redis is ahead of this machine's monotonic one
        self._run = ""
        self._sha = ""

    async def exchange(self, message: dict[str, Any]) -> dict[str, Any]:
        """Sends a message to the ledger's script and returns its answer; raises Renewed in another epoch."""
        if not self.connection.is_connected:
            await self.connect()
        if self.epoch is None or self.epoch.run != self._run:
            raise Renewed
        message["epoch"] = str(self.epoch)
        said = await self.call("EVALSHA", self._sha, 1, EPOCH, orjson.dumps(message))
        try:
            answer = orjson.loads(said)
        except (TypeError, orjson.JSONDecodeError):
            answer = None
        if not isinstance(answer, dict):
            raise Away("it answers nonsense")
        if "epoch" in answer:
            raise Renewed
        return answer

    async def connect(self) -> None:
        """Connects; finds out which Redis it is, and which epoch it is in."""
        info = await self.call("INFO", "server")
        lines = info.decode(errors="replace").splitlines() if isinstance(info, bytes) else []
        self._run = next((line[7:].strip() for line in lines if line.startswith("run_id:")), "")
        if not self._run:
            await self.close()
            raise Away("it does not say which run it is")
        self._sha = await self.call("SCRIPT LOAD", SCRIPT)
        self.ahead = await self.time() - monotonic()

    async def enter(self) -> Epoch:
        """Returns the present epoch, after it was begun if there is none."""
        deadline = monotonic() + self.patience
        while True:
            epoch = parsed(await self.call("GET", EPOCH))
            if epoch is not None and epoch.run == self._run:
                self.epoch = epoch
                return epoch
            lease = int(SEEDING_SECONDS * 1000)
            if await self.call("SET", SEEDING, self.process, "NX", "PX", lease):
                await self.begin(epoch)
            elif monotonic() > deadline:
                raise Away("another process still sums up what was spent")
            else:
                await asyncio.sleep(SEEDING_POLL)

    async def begin(self, former: Epoch | None) -> None:
        """Begins an epoch from what the database knows."""
        epoch = Epoch(self._run, secrets.token_hex(8), await self.time())
        try:
            async with asyncio.timeout(SEEDING_SECONDS):
                known = await asyncio.to_thread(self.sums, epoch.seeded_at)
        except Exception as error:  # noqa: BLE001 -- whatever it is, somebody has to try again
            await self.call("DEL", SEEDING)
            raise Away(f"the database can't be asked for what was spent: {type(error).__name__}") from None
        await self.write(f"{{gw}}:{epoch.name}", known, epoch.seeded_at)
        await self.call("EVAL", BEGIN, 2, EPOCH, SEEDING, str(epoch), self.process)
        if former is not None:
            await self.forget(former)

    async def write(self, space: str, known: Ledger, now: float) -> None:
        """Writes down what a ledger has counted, as the script keeps it."""
        fields: list[str] = []
        for subject, account in known.accounts.items():
            for counter in account.counters.values():
                match counter:
                    case Budget(dimension=dimension, spent=spent) if spent:
                        fields += (f"{dimension} {subject}", f"{period(dimension, now)} {spent} 0")
                    case Requests() if times := counter.minute.times:
                        await self.call("RPUSH", f"{space}:requests:{subject}", *map(repr, times))
                        await self.call("EXPIRE", f"{space}:requests:{subject}", KEPT_SECONDS)
                    case Rate() if (due := counter.flow.due) > now:
                        lasts = int(due - now) + KEPT_SECONDS
                        await self.call("SET", f"{space}:due:{subject}", repr(due), "EX", lasts)
        for start in range(0, len(fields), 2 * PORTION):
            await self.call("HSET", f"{space}:budgets", *fields[start : start + 2 * PORTION])

    async def forget(self, epoch: Epoch) -> None:
        """Removes what was counted in a former epoch."""
        cursor: Any = b"0"
        while True:
            found = await self.call("SCAN", cursor, "MATCH", f"{{gw}}:{epoch.name}:*", "COUNT", PORTION)
            cursor, keys = found
            if keys:
                await self.call("UNLINK", *keys)
            if cursor == b"0":
                return

    async def time(self) -> float:
        """Returns the time by the clock of Redis."""
        said = await self.call("TIME")
        try:
            return int(said[0]) + int(said[1]) / 1e6
        except (TypeError, ValueError, IndexError):
            raise Away("it answers nonsense") from None

    async def call(self, *command: Any) -> Any:
        """Sends one command and returns what Redis says."""
        try:
            async with asyncio.timeout(self.patience):
                await self.connection.send_command(*command)
                return await self.connection.read_response()
        except NoScriptError:
            await self.call("SCRIPT LOAD", SCRIPT)
            return await self.call(*command)
        except TimeoutError:
            reason = f"no answer within {self.patience:g} s"
        except ResponseError as error:
            # A server may repeat what it was sent, a password among it: the kind of its complaint must do.
            word = str(error).partition(" ")[0]
            reason = f"it answers with an error ({word if word.isupper() else type(error).__name__})"
        except (RedisError, OSError, ValueError) as error:
            reason = f"{type(error).__name__}"
        await self.close()
        raise Away(reason)

    async def close(self) -> None:
        """Closes the connection."""
        await self.connection.disconnect(nowait=True)


def period(dimension: str, now: float) -> int:
    """Returns the number of a budget's present period, as the script counts them."""
    at = datetime.fromtimestamp(now, UTC)
    months = (at.year - 1970) * 12 + at.month - 1
    return int(now // 86_400) if dimension == DAY else months if dimension == MONTH else 0
