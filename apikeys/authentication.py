"""How a caller is recognised: from its headers, in memory, without a query."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from apikeys.credential import TwoCredentialsError, credential
from apikeys.feed import feed
from apikeys.keyring import ring
from apikeys.keys import ID_PLACE, digest, parse
from apikeys.last_used import last_used

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.http import HttpRequest
    from rest_framework.request import Request

    from apikeys.principal import Principal

CHALLENGE = 'Bearer realm="Ollama gateway"'
NO_KEY = "An API key is needed: send it as `X-API-Key: <key>` or as `Authorization: Bearer <key>`."
# One text for unknown, malformed, revoked and expired keys: none of them may be told from another.
NOT_VALID = (
    "This API key is not valid: it is mistyped, unknown, revoked or expired. "
    "Check that it was copied whole, or ask the operator of this gateway for a new one."
)


def identify(meta: Mapping[str, Any]) -> Principal | None:
    """Returns the principal of the key in the headers (spelled as in a request's META), None where there is no key.

    Reads memory only.  Raises AuthenticationFailed for a key that is not valid, and for two that differ.
    """
    try:
        text = credential(meta)
    except TwoCredentialsError as error:
        raise AuthenticationFailed(str(error)) from None
    if text is None:
        return None
    key = parse(text)
    principal = None if key is None else ring.find(key.id, digest(key.text, settings.KEY_PEPPER), time.time())
    if principal is None:
        raise AuthenticationFailed(NOT_VALID)
    last_used.note(principal.key_id)
    return principal


def require(meta: Mapping[str, Any]) -> Principal:
    """Returns the principal as `identify` does, and raises NotAuthenticated where there is no key."""
    principal = identify(meta)
    if principal is None:
        raise NotAuthenticated(NO_KEY)
    return principal


async def prepare(meta: Mapping[str, Any]) -> None:
    """Gives a well-formed key that is not in memory one chance: waits for the feed's next poll.

    A key issued a moment ago by another process thus works at once, and an invented one costs no query.
    """
    try:
        text = credential(meta)
    except TwoCredentialsError:
        return
    if text is None or text[ID_PLACE] in ring:
        return
    key = parse(text)
    if key is not None:
        await feed.refreshed()


class APIKeyAuthentication(BaseAuthentication):
    """Recognises the key in `X-API-Key` or `Authorization: Bearer`; a query string is never read.

    Without a key it stands aside, as Django REST framework asks of it: `HasAPIKey` is what refuses then.
    """

    def authenticate(self, request: Request | HttpRequest) -> tuple[Principal, None] | None:
        """Returns the key's principal; raises AuthenticationFailed.  Reads memory only."""
        principal = identify(request.META)
        return None if principal is None else (principal, None)

    async def aprepare(self, request: Request | HttpRequest) -> None:
        """Is awaited before `authenticate` where there is an event loop: lets a fresh key arrive."""
        await prepare(request.META)

    def authenticate_header(self, _request: Request | HttpRequest) -> str:
        """Returns the challenge that a 401 carries (RFC 6750)."""
        return CHALLENGE
