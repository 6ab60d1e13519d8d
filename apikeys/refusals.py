"""Why a key, though perhaps a good one, is not served."""

from __future__ import annotations

from gateway.rest import Refusal


class KeysUnknown(Refusal):
    """The database that has the keys is away, so nobody can tell whether this one is good."""

    def __init__(self) -> None:
        super().__init__(
            503, "API keys can't be checked at the moment: try again in a few seconds.", headers={"Retry-After": "5"}
        )


class TooManyGuesses(Refusal):
    """The client's address has sent many keys that are not valid; `wait` is in seconds."""

    def __init__(self, wait: int) -> None:
        super().__init__(
            429,
            f"Too many invalid API keys came from your address: wait {wait} seconds. A valid key goes on working.",
            headers={"Retry-After": str(wait)},
        )


class RouteNotAllowed(Refusal):
    """The key is bound to other dialects or paths."""

    def __init__(self) -> None:
        super().__init__(403, "This key may not use this endpoint: ask the operator for a key that may.")


class AddressNotAllowed(Refusal):
    """The key is bound to other addresses."""

    def __init__(self) -> None:
        super().__init__(403, "This key may not be used from your address: ask the operator to allow it.")


class ScopeLacking(Refusal):
    """The key lacks the scope that the endpoint needs."""

    def __init__(self, scope: str) -> None:
        super().__init__(403, f"This key lacks the scope {scope!r}: ask the operator for a key that has it.")


class KeyEnded(Refusal):
    """The key was good when the call began, and is no longer."""

    def __init__(self) -> None:
        super().__init__(
            401,
            "This API key was revoked, disabled or replaced, or has expired, while it was in use. "
            "Ask the operator of this gateway for a new one.",
        )
