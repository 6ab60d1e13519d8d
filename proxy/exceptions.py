"""Why a call is not served.

Refusal (gateway/rest.py)
├── BadBody                 400  the JSON is not what the route takes
├── ContextExceeded         400  the prompt can't fit into the window that it would get
├── BodyTimeout             408  the client paused too long while sending
├── BodyTooLarge            413
├── BodyExpands             413  a compressed body is too many times as large when decoded
├── EncodedBody             415  the body is compressed in a way that is not supported
├── ModelNotFound           404  no such model, or none that this key may use
├── CloudRefused            403
├── ScopeMissing            403
├── OverLimit               429  an allowance has no room
├── TooManyReads            429  a key asks about too many different models
├── LimitsUnavailable       503  the shared ledger does not answer
├── Full                    503  no turn came in time
├── JournalFull             503  nothing more can be accounted for
├── NoRoute                 404
├── NoMethod                405
├── BadHost                 400
├── Busy                    503  the gateway holds as many bodies as it may
├── CallTooLong             504
├── ShuttingDown            503
└── UpstreamError
    ├── UpstreamUnreachable 502  no connection: nothing was sent
    ├── UpstreamBroke       502  the connection or the answer broke off
    ├── UpstreamTimeout     504  Ollama was silent for too long
    └── UpstreamRefusal     ...  Ollama itself said no, with its status
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from gateway.rest import NO_HEADERS, REQUEST_ID, Refusal
from proxy.decoding import SUPPORTED
from usage.dimensions import BUDGETS, CONCURRENCY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from usage.ledger import Exhausted


class BadBody(Refusal):
    """The body is not what the route takes; the message says where."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class ContextExceeded(Refusal):
    """The prompt can't fit into its context window: said before Ollama drops the most of it in silence."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message, kind="context_length_exceeded")


class BodyTimeout(Refusal):
    """The client paused too long while it sent its body."""

    def __init__(self) -> None:
        super().__init__(408, "The request body did not arrive in time: send it in one go.")


class BodyTooLarge(Refusal):
    """The body is larger than the limit, in bytes."""

    def __init__(self, limit: int, why: str = "MAX_BODY_BYTES, or this key's own") -> None:
        super().__init__(413, f"The request body is larger than {limit} bytes, the limit here ({why}).")


class BodyExpands(Refusal):
    """The body is so many times as large when decoded that it was made to exhaust whoever decodes it."""

    def __init__(self) -> None:
        super().__init__(413, "The request body expands too much when it is decoded. Send it uncompressed.")


class EncodedBody(Refusal):
    """The body is compressed in a way that is not supported here."""

    def __init__(self, encoding: str, supported: str = SUPPORTED) -> None:
        super().__init__(
            415,
            f"Content-Encoding {encoding[:40]!r} is not supported. Use one of {supported}, or none.",
            headers={"Accept-Encoding": supported},
        )


# Ollama's own words come first: some clients look for them.
MODELS_HINT = ": GET /api/tags lists the models that this key may use, and `ollama pull` adds one."


class ModelNotFound(Refusal):
    """The model does not exist, or the key may not use it: nobody can tell which."""

    def __init__(self, model: str) -> None:
        super().__init__(404, f"model '{model[:200]}' not found", kind="model_not_found")
        self.hint = MODELS_HINT


class PullNeedsScope(Refusal):
    """A model was to be fetched that is not there, by a key that may not: as `ollama run` does after a typing error."""

    def __init__(self, model: str) -> None:
        super().__init__(
            403,
            f"model '{model[:200]}' not found: check its name, GET /api/tags lists the models that this key may use. "
            "Pulling a model needs the scope 'manage', which this key lacks: ask the operator.",
        )


class CloudRefused(Refusal):
    """The request would leave this Ollama for its cloud."""

    def __init__(self, message: str) -> None:
        super().__init__(403, message, kind="cloud_refused")


class ScopeMissing(Refusal):
    """The key lacks the scope that the route needs."""

    def __init__(self, scope: str) -> None:
        super().__init__(403, f"This key lacks the scope {scope!r}: ask the operator for a key that has it.")


class OverLimit(Refusal):
    """An allowance has no room: says which, and when it will."""

    def __init__(self, exhausted: Exhausted) -> None:
        one, wait = exhausted.allowance, exhausted.wait
        whose = one.subject.partition(":")[0]
        what = f"{one.dimension.replace('_', ' ')} of this {whose} ({one.amount})"
        when = "it does not come back" if wait == math.inf else f"try again in {in_words(wait)}"
        if one.dimension == CONCURRENCY:
            when = "try again when another call has ended"
        elif one.dimension in BUDGETS and not exhausted.spent:
            when = "calls that run hold what is left, so try again when one has ended"
        kind = "insufficient_quota" if exhausted.spent else "rate_limited"
        headers = {} if wait == math.inf else {"Retry-After": str(math.ceil(wait))}
        super().__init__(429, f"The limit on {what} is reached: {when}.", kind=kind, headers=headers)


def in_words(seconds: float) -> str:
    """Writes how long to wait, in the unit that people would use, never too short."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds > 2 * size:
            return f"{math.ceil(seconds / size)} {unit}"
    return f"{math.ceil(seconds)} second" + ("s" if seconds > 1 else "")


class TooManyReads(Refusal):
    """A key asked about too many different models at once; reading costs nothing of its limits."""

    def __init__(self, seconds: float) -> None:
        message = (
            f"Too many questions about models: try again in {in_words(seconds)}. They cost nothing of your limits."
        )
        super().__init__(429, message, kind="rate_limited", headers={"Retry-After": str(math.ceil(seconds))})


class LimitsUnavailable(Refusal):
    """What is left of the key's limits can't be known, so nothing is let in."""

    def __init__(self) -> None:
        public = "The limits of this key can't be checked: try again in a few seconds."
        message = f"{public} Its operator: see REDIS_URL."
        super().__init__(503, message, kind="limits_unavailable", headers={"Retry-After": "5"}, public=public)


class Full(Refusal):
    """As many calls as Ollama may work on at once are under way, and none ended in time."""

    def __init__(self) -> None:
        super().__init__(503, "The gateway is full: try again in a few seconds.", headers={"Retry-After": "5"})


class JournalFull(Refusal):
    """What a call costs could not be kept, so none is begun."""

    def __init__(self) -> None:
        message = "The gateway can't keep its account (disk or database): its operator has to look (JOURNAL_DIR)."
        super().__init__(503, message, headers={"Retry-After": "30"})


class NoRoute(Refusal):
    """There is no such path."""

    def __init__(self) -> None:
        super().__init__(
            404,
            "Not found. See GET /api/info for the endpoints, and /docs. Base URL for OpenAI clients: this server's "
            "address and /v1; for Ollama and Anthropic clients: this server's address.",
        )


class NoMethod(Refusal):
    """The path takes other methods."""

    def __init__(self, method: str, allowed: list[str]) -> None:
        allow = ", ".join(allowed)
        super().__init__(405, f"{method[:20]} is not taken here, but {allow}.", headers={"Allow": allow})


class BadHost(Refusal):
    """The request names a host that is not ours."""

    def __init__(self) -> None:
        super().__init__(400, "The Host header names no host of this gateway: add the name to ALLOWED_HOSTS.")


class Busy(Refusal):
    """As many request bodies as the gateway may hold are in memory already."""

    def __init__(self) -> None:
        super().__init__(503, "The gateway is receiving too much at once: try again.", headers={"Retry-After": "1"})


class CallTooLong(Refusal):
    """The call took longer than any call may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            504,
            f"The call took more than {seconds:g} seconds, the most that one may (MAX_CALL_SECONDS).",
            kind="call_too_long",
        )


class ShuttingDown(Refusal):
    """The gateway is stopping."""

    def __init__(self) -> None:
        super().__init__(503, "The gateway is stopping: try again in a moment.", headers={"Retry-After": "5"})


IN_THE_LOG = f"The operator finds the reason in the log, under the request ID {REQUEST_ID}."
# What clients read in production where the reason is the operator's alone.
UNAVAILABLE = f"The model server is unavailable. {IN_THE_LOG}"
# Addresses in what Ollama says, of itself or of the runners behind it.
ADDRESS = re.compile(
    r"https?://[^\s\"'<>/]+(?:/[^\s\"'<>]*)?|\[[0-9a-fA-F:.]+\]:\d+|(?<![\w.])(?:\d{1,3}(?:\.\d{1,3}){3}|localhost)(?::\d+)?"
)


class UpstreamError(Refusal):
    """Ollama did not serve the call.

    In production its client reads `public`, or else the message without addresses.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        public: str = "",
    ) -> None:
        public = public or ADDRESS.sub("the model server", message)
        super().__init__(status, message, kind=kind, headers=headers, public=public)


class UpstreamUnreachable(UpstreamError):
    """No connection to Ollama came about, so nothing was sent."""

    def __init__(self, address: str) -> None:
        message = f"Ollama can't be reached at {address}: start it, or correct OLLAMA_URL."
        super().__init__(502, message, kind="upstream_unreachable", public=UNAVAILABLE)


class UpstreamBroke(UpstreamError):
    """The connection or the answer broke off half-way."""

    def __init__(self, what: str = "Ollama's answer broke off before its end: try again.") -> None:
        super().__init__(502, what, kind="upstream_failed")


class UpstreamTimeout(UpstreamError):
    """Ollama was silent for too long."""

    def __init__(self, setting: str, seconds: float) -> None:
        message = f"Ollama was silent for {seconds:g} seconds: try again, or raise {setting}."
        public = f"The model server was silent for {seconds:g} seconds. Try again. {IN_THE_LOG}"
        super().__init__(504, message, public=public)


class UpstreamRefusal(UpstreamError):
    """Ollama itself said no."""
