"""Watches the keys of running calls: a call ends when its key does, or may no longer do what the call does."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from django.conf import settings

from apikeys.feed import feed
from apikeys.keyring import ring
from apikeys.permissions import permit
from apikeys.refusals import KeyEnded, KeysUnknown
from gateway.rest import Refusal
from proxy.exceptions import ModelNotFound, ScopeMissing
from proxy.live import live
from proxy.names import matches, readings
from proxy.routes import ROUTES

if TYPE_CHECKING:
    from apikeys.principal import Principal
    from proxy.call import Call

# How often ends that come with time are looked for, in seconds; changes are told by the feed.
INTERVAL = 0.25
ROUTE_OF = {(row.method, row.path): row for row in ROUTES}


class KeyWatch:
    """Looks at the running calls whenever keys change, and now and then for keys that expire."""

    def __init__(self) -> None:
        self.ticker: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begins, on the running event loop."""
        self.loop = asyncio.get_running_loop()
        self.ticker = self.loop.create_task(self.tick())
        feed.listeners.append(self.tell)

    def stop(self) -> None:
        """Ends it."""
        feed.listeners.remove(self.tell)
        if self.ticker is not None:
            self.ticker.cancel()

    def tell(self) -> None:
        """Has all calls looked at; called from the feed's thread."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(look_at_all)

    async def tick(self) -> None:
        """Cuts the calls of keys that have expired, or of which nothing has been heard for too long."""
        while True:
            await asyncio.sleep(INTERVAL)
            now = time.time()
            unknown = feed.outage > settings.OUTAGE_GRACE
            for call in [call for call in live.calls if call.principal is not None]:
                if unknown:
                    call.cut(KeysUnknown())
                elif call.principal is not None and call.principal.expired(now):
                    call.cut(KeyEnded())


def look_at_all() -> None:
    """Cuts the calls whose keys no longer allow them; the others go on under what now holds for them."""
    for call in list(live.calls):
        if call.principal is None:
            continue
        principal = ring.current(call.principal)
        try:
            if principal is None:
                raise KeyEnded
            if principal is not call.principal:
                look_at(call, principal)
                call.principal = principal
        except Refusal as refusal:
            call.cut(refusal)


def look_at(call: Call, principal: Principal) -> None:
    """Raises the refusal that a call would meet if it began now, with what its key may do now."""
    route = ROUTE_OF[call.method, call.route]
    permit(principal, route.path, route.surface.name, call.client)
    if route.scope not in principal.scopes:
        raise ScopeMissing(route.scope)
    if call.facts is None or not principal.models:
        return
    for name in readings(call.facts.target):
        if not any(matches(name, pattern) for pattern in principal.models):
            raise ModelNotFound(call.facts.model)


key_watch = KeyWatch()
