"""What the proxy holds while it runs: opened and closed with the server."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings

from apikeys.feed import feed
from apikeys.keyring import ring
from proxy.admission import Door
from proxy.body import Bodies
from proxy.clamps import Clamps
from proxy.keywatch import key_watch
from proxy.live import live
from proxy.metadata import MetadataCache, ReadRate
from proxy.policy import Policy
from proxy.relay import Idle
from proxy.turns import Turns
from proxy.upstream import Upstream, connect
from proxy.window_table import WindowTable
from usage.allowances import Allowances
from usage.journal import Journal
from usage.ledger import Ledger, Unavailable
from usage.sole import NotSole, Sole

if TYPE_CHECKING:
    from apikeys.principal import Principal
    from gateway.env import Env
    from proxy.sharing import SharedDoor, SharedTurns
    from usage.shared.ledger import SharedLedger


log = logging.getLogger("gateway")

# A request makes some hundred objects, nearly all freed without the collector's help.
GC_THRESHOLDS = (20_000, 20, 50)
# Half a millisecond's work.
TIDY_ACCOUNTS = 500


class Running:
    """The upstream, the policy, the reader of request bodies, and the settings that calls need."""

    upstream: Upstream
    policy: Policy

    def __init__(self) -> None:
        env: Env = settings.ENV
        self.bodies = Bodies(env.MAX_BODY_BYTES, env.MAX_BUFFERED_BYTES, env.CLIENT_TIMEOUT)
        self.first_byte_timeout = env.UPSTREAM_FIRST_BYTE_TIMEOUT
        self.idle = Idle(env.UPSTREAM_IDLE_TIMEOUT)
        self.heartbeat = env.HEARTBEAT
        self.allowances = Allowances(env.default_allowances, ring)
        self.metadata = MetadataCache(lambda: self.upstream)
        self.read_rate = ReadRate()
        self.windows = WindowTable(self.metadata)
        self.journal = Journal(env.journal_dir)
        self.sole = Sole(env.journal_dir / "limits.lock")
        self.sole_here: Sole | None = None
        self.ledger: Ledger | SharedLedger
        self.shared: SharedLedger | None = None
        self.tidying: asyncio.Task[None] | None = None
        self.turns: Turns | SharedTurns
        self.door: Door | SharedDoor
        must_account = env.JOURNAL_FULL == "refuse"
        entrance: Any = {"must_account": must_account, "addresses": env.RECORD_ADDRESSES}
        if env.REDIS_URL:
            # One process alone need not know Redis.
            from proxy.sharing import SharedDoor, SharedTurns
            from usage.shared.ledger import shared_ledger

            shared = shared_ledger(env.REDIS_URL, env.REDIS_GRACE, env.RESERVE_STEP, self.journal.writer)
            self.ledger = self.shared = shared
            self.turns = SharedTurns(env.MAX_IN_FLIGHT, env.MAX_WAIT, shared)
            self.door = SharedDoor(shared, self.journal, self.allowances.of, **entrance)
        else:
            self.ledger = ledger = Ledger(env.RESERVE_STEP)
            self.turns = Turns(env.MAX_IN_FLIGHT, env.MAX_WAIT)
            self.door = Door(ledger, self.journal, self.allowances.of, **entrance)

    async def open(self) -> None:
        """Connects what needs an event loop; returns when requests can be served.  Raises NotSole."""
        self.be_sole()
        self.journal.open()
        self.policy = policy_of(settings.ENV, settings.OLLAMA_MODEL)
        self.upstream = connect(settings.ENV, settings.OLLAMA_URL)
        await asyncio.to_thread(feed.start)
        live.start(settings.ENV.MAX_CALL_SECONDS)
        if isinstance(self.ledger, Ledger):
            self.tidying = asyncio.create_task(self.tidy(self.ledger))
        key_watch.start()
        # What is there now stays: the collector need not look at it again and again, nor as often as by default.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    def be_sole(self) -> None:
        """Makes sure that nobody else counts the same limits, or says that somebody does; raises NotSole."""
        shared = self.shared is not None
        alone = self.sole.take(shared=shared)
        if not alone and settings.ENV.LIMITS == "exact":
            raise NotSole(self.sole.file.parent)
        database = Path(str(settings.DATABASES["default"]["NAME"]))
        if alone and database.is_file():
            self.sole_here = Sole(database.with_name(f"{database.name}-limits.lock"))
            alone = self.sole_here.take(shared=shared)
        if not alone:
            log.warning(
                "Limits are per process: another one uses the same journal or database (%s), and each lets its own "
                "share in. REDIS_URL makes them count together.",
                database.name,
            )

    async def look(self, principal: Principal) -> None:
        """Hears what is left of a key's limits where several processes share them, if that can be heard."""
        held = self.allowances.of(principal)
        if held and self.shared is not None:
            with suppress(Unavailable):
                await self.shared.look(held)

    async def tidy(self, ledger: Ledger) -> None:
        """Drops accounts that hold nothing any more, some of them every second."""
        while True:
            await asyncio.sleep(1)
            ledger.tidy(TIDY_ACCOUNTS)

    async def close(self) -> None:
        """Lets go of everything."""
        live.stop()
        if self.tidying is not None:
            self.tidying.cancel()
        key_watch.stop()
        await self.upstream.aclose()
        await asyncio.to_thread(feed.stop)
        if self.shared is not None:
            await self.shared.stop()
        self.journal.close()
        for sole in (self.sole, self.sole_here):
            if sole is not None:
                sole.free()


def policy_of(env: Env, default_model: str) -> Policy:
    """Returns the policy that the settings describe."""
    return Policy(
        default_model=default_model,
        aliases=env.aliases,
        allow_cloud=env.ALLOW_CLOUD,
        clamps=Clamps(
            keep_alive=env.MAX_KEEP_ALIVE,
            output_tokens=env.MAX_OUTPUT_TOKENS,
            options=frozenset(env.CLIENT_OPTIONS),
        ),
        max_batch=env.MAX_BATCH,
        keep_attribution=env.KEEP_ATTRIBUTION,
        windows=env.window_rules,
    )


running = Running()
