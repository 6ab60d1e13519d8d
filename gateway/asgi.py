"""The ASGI application: Django behind a lifespan that opens and closes what calls need."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import django
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup(set_prefix=False)

# These read settings and models, which exist only after setup.
from gateway.accounting import Accounting  # noqa: E402
from gateway.handler import GatewayHandler  # noqa: E402
from gateway.memory import reserve  # noqa: E402
from gateway.proxies import TrustedProxies  # noqa: E402
from gateway.warmup import warm_up  # noqa: E402
from proxy.lane import LANE  # noqa: E402
from proxy.running import running  # noqa: E402
from usage.metrics import metrics  # noqa: E402

if TYPE_CHECKING:
    from gateway.request import Receive, Scope, Send

log = logging.getLogger("gateway")


class Lifespan:
    """Answers the server's start and stop, and hands requests on."""

    def __init__(self, app: GatewayHandler) -> None:
        self.app = app
        self.accounting = Accounting(running)
        self.reserved: list[object] = []
        metrics.before_reading = app.lane.report.flush

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one ASGI connection."""
        if scope["type"] == "http":
            await self.app(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.live(receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        """Opens on start, closes on stop."""
        await receive()
        try:
            await running.open()
            await asyncio.to_thread(self.accounting.open)
            await self.accounting.share()
            self.reserved = reserve()
        except Exception as error:  # noqa: BLE001 -- any failure to start is told in one line
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        await send({"type": "lifespan.startup.complete"})
        warm_up()
        try:
            await receive()
        except asyncio.CancelledError:  # an end without order, by a third SIGINT
            await self.close()
        else:
            await self.close()
            await send({"type": "lifespan.shutdown.complete"})

    async def close(self) -> None:
        """Closes the lane, then the account that it wrote."""
        try:
            await running.close()
        finally:
            self.app.lane.report.flush()
        await asyncio.to_thread(self.accounting.close)


application: Lifespan | TrustedProxies = Lifespan(GatewayHandler(LANE))
if settings.ENV.TRUSTED_PROXIES:
    application = TrustedProxies(application, settings.ENV.TRUSTED_PROXIES)  # type: ignore[arg-type]  # see Scope
