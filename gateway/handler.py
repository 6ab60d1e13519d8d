"""Django's ASGI handler with two ways through it: the machine lane for programs, the stock path for people."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.urls import Resolver404, resolve, set_script_prefix

from gateway.lane import MachineLane
from gateway.path_key import PREFIX, SCOPE_KEY, take_key
from gateway.paths import decoded, remove_prefix, respellings
from gateway.request import client_of, user_agent_of
from gateway.requestid import request_id_of
from gateway.rest import KINDS, error_body
from proxy.call import DONE, FAILED, LEFT, REFUSED, Call
from proxy.exceptions import BodyTimeout, BodyTooLarge

if TYPE_CHECKING:
    from gateway.request import Message, Receive, Scope, Send
    from proxy.lane import Lane

LOWEST_ERROR, FAULT = 400, 500
# People's forms are small; nobody needs a key to send one, so little of it is held.
PEOPLE_BODY_LIMIT = 256 * 2**10
# All paths below these are Django's: the admin adds missing slashes, static files have a middleware.
PEOPLE_PREFIXES = ("/admin", "/static/")


class GatewayHandler(ASGIHandler):
    """Serves the paths of the lane's table, and those that nobody knows, on the lane; the rest is stock Django."""

    def __init__(self, table: Lane) -> None:
        super().__init__()
        self.lane = MachineLane(table)
        self.base_path: str = settings.ENV.BASE_PATH

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]  # see Scope
        """Serves one HTTP request."""
        prefix = scope.get("root_path") or self.base_path
        if prefix:
            remove_prefix(scope, prefix)
            set_script_prefix(prefix)  # for the pages of the machine lane; Django does it for its own
        if scope["raw_path"].startswith(PREFIX):
            take_key(scope)
        route = None if self.lane.table.find(scope["raw_path"]) else self.people(scope)
        if route is None:
            await self.lane(scope, receive, send)
            return
        people = PeopleRequest(scope, route, receive, send)
        people.call.on_finish = self.lane.report
        scope["path"] = prefix + scope["path"]  # as ASGI has it, and Django with it
        try:
            await super().__call__(scope, people.receive, people.send)  # type: ignore[arg-type]  # see Scope
        except (BodyTooLarge, BodyTimeout) as refusal:
            await people.refuse(refusal)
        finally:
            people.call.finish()
            people.let_go()

    def people(self, scope: Scope) -> str | None:
        """Returns the route of people's pages that a request is on, None for the machine lane.

        A path that does not exist as it stands is replaced by the one that it means, if there is one: all that follows
        (permissions, records, logs) sees that path alone.
        """
        route = people_route(scope["path"])
        if SCOPE_KEY in scope and scope["raw_path"] != b"/":
            route = None  # with a key in their path only programs' requests are served
        elif route is not None:
            return route
        meant = respellings(scope["raw_path"]) if "absolute" not in scope else []
        for raw_path in meant:
            path = decoded(raw_path)
            in_table = self.lane.table.find(raw_path)
            route = None if in_table or SCOPE_KEY in scope else people_route(path)
            # What was encoded is a parameter's, never a part of the route.
            is_encoded = b"%" in raw_path and route is not None and "<" not in route
            if not is_encoded and (route is not None or in_table):
                scope["raw_path"], scope["path"] = raw_path, path
                return route
        if meant:
            scope["path"] = decoded(meant[0])  # whose dialect the refusal is in
        return None


def people_route(path: str) -> str | None:
    """Returns which of few routes of Django's URLs a path is on, as logs and metrics call it; None for no route."""
    for prefix in PEOPLE_PREFIXES:
        if path.startswith(prefix):
            return f"{prefix.removesuffix('/')}/*"
    try:
        return f"/{resolve(path).route}"
    except Resolver404:
        return None


class PeopleRequest:
    """What the stock path lacks: a bound on the body, an id on the answer, a line in the log."""

    def __init__(self, scope: Scope, route: str, receive: Receive, send: Send) -> None:
        self.call = Call(request_id_of(scope), scope["method"], scope["path"], client_of(scope))
        self.call.route = route
        self.call.user_agent = user_agent_of(scope)
        # Views that know keys note in it whose call it is, and why it failed.
        scope["call"] = self.call
        self.raw_receive = receive
        self.raw_send = send
        self.size = 0
        self.whole = False
        self.deadline = asyncio.get_running_loop().time() + settings.ENV.CLIENT_TIMEOUT

    async def receive(self) -> Message:
        """Passes a part of the body on; raises BodyTooLarge, and BodyTimeout when all of it takes too long."""
        if self.whole:
            return await self.raw_receive()
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.raw_receive()
        except TimeoutError:
            raise BodyTimeout from None
        self.size += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self.size > PEOPLE_BODY_LIMIT:
            raise BodyTooLarge(PEOPLE_BODY_LIMIT, "for what is no request to a model")
        return message

    async def send(self, message: Message) -> None:
        """Passes a part of the answer on, with the request's id on its head."""
        if message["type"] == "http.response.start":
            self.call.outcome.status = message["status"]
            self.call.outcome.ended = LEFT  # until the last part is sent
            if message["status"] >= LOWEST_ERROR and not self.call.outcome.error:
                self.call.outcome.error = KINDS.get(message["status"], "error")
            message["headers"] = [*message["headers"], (b"X-Request-ID", self.call.request_id.encode())]
        elif not message.get("more_body", False):
            outcome = self.call.outcome
            outcome.ended = DONE if not outcome.error else FAILED if outcome.status >= FAULT else REFUSED
        await self.raw_send(message)

    def let_go(self) -> None:
        """Lets go of the connection, which Django's tracebacks would hold until the garbage collector comes."""
        del self.raw_receive, self.raw_send

    async def refuse(self, refusal: BodyTooLarge | BodyTimeout) -> None:
        """Answers a request that was not read to its end."""
        body = error_body(refusal)
        headers = [(b"Content-Type", b"application/json"), (b"Content-Length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": refusal.status_code, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
