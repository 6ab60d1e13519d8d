"""How a caller is recognised: from its headers, in memory, without a query."""

from __future__ import annotations

import time
from collections.abc import Awaitable, MutableMapping
from typing import TYPE_CHECKING, Any

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated

from apikeys import keys
from apikeys.credential import PATH_KEY, TwoCredentialsError, credential
from apikeys.feed import feed
from apikeys.guesses import guesses
from apikeys.keyring import ring
from apikeys.permissions import NO_KEY
from apikeys.redigest import new_digests
from apikeys.refusals import KeysUnknown

if TYPE_CHECKING:
    from django.http import HttpRequest
    from rest_framework.request import Request

    from apikeys.keyring import Found
    from apikeys.principal import Principal

Meta = MutableMapping[str, Any]

CHALLENGE = 'Bearer realm="Ollama gateway"'
# One text for unknown, malformed, disabled, revoked and expired keys: none of them may be told from another.
NOT_VALID = (
    "This API key is not valid: it is mistyped, unknown, revoked or expired. "
    "Check that it was copied whole, or ask the operator of this gateway for a new one."
)
# Where the answer of `prepare` waits for `identify`; no header can be called so.
PREPARED = "apikeys.found"
CREDENTIALS = ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY", PATH_KEY)
# What browsers send with a page's requests, and no page can leave out.  Node's `fetch` sends Sec-Fetch-Mode, so that
# tells nothing.
BROWSERS = frozenset({"HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE", "HTTP_REFERER", "HTTP_COOKIE"})


def look_up(text: str) -> Found | None:
    """Returns whose key the text is, None where it is nobody's or no longer good.  Reads memory only."""
    # The checksum tells nothing that the digest does not.
    key_id = keys.id_of(text)
    if key_id is None and not keys.is_legacy(text):
        return None
    digests = [keys.digest(text, pepper) for pepper in (settings.KEY_PEPPER, *settings.KEY_PEPPER_FALLBACKS)]
    now = time.time()
    found = ring.find_legacy(digests, now) if key_id is None else ring.find(key_id, digests, now)
    if found is not None and found.pepper:
        new_digests.note(found.principal.key_id, digests[found.pepper], digests[0])
    return found


def find(text: str, meta: Meta) -> Found | None:
    """Returns whose key the text is, None also for a key in the path that may not stand there."""
    found = look_up(text)
    if found is not None and PATH_KEY in meta and not ring.is_in_path(found.principal.key_id):
        return None
    return found


def keyless(meta: Meta) -> Principal | None:
    """Returns the key as which a request without any credential acts, by its client's network; None for none.

    A request that a web page may have caused has none: whoever opens a page would lend it their network.  Raises
    KeysUnknown while the database is away for too long.
    """
    if any(meta.get(name) for name in CREDENTIALS) or not BROWSERS.isdisjoint(meta):
        return None
    principal = ring.find_keyless(meta.get("REMOTE_ADDR", ""), time.time())
    if principal is not None:
        refuse_in_outage()
    return principal


def refuse_in_outage() -> None:
    """Raises KeysUnknown where the database has been away for so long that a key may have been revoked long ago."""
    outage = feed.outage
    if outage and outage > settings.OUTAGE_GRACE:
        raise KeysUnknown


def identify(meta: Meta) -> Principal | None:
    """Returns the principal of the key in the headers (spelled as in a request's META), None where there is no key.

    Reads memory only.  Raises AuthenticationFailed for a key that is not valid and for two that differ, TooManyGuesses
    for the next one of those from an address that sent many, and KeysUnknown while the database is away or locked.
    """
    found: Found | None = meta.pop(PREPARED, None)
    if found is None:
        try:
            text = credential(meta)
        except TwoCredentialsError as error:
            raise AuthenticationFailed(str(error)) from None
        if text is None:
            return None
        found = find(text, meta)
        if found is None:
            if feed.unsure and (keys.parse(text) or keys.is_legacy(text)):
                raise KeysUnknown  # it may have been issued meanwhile, or be about to be
            guesses.count(meta.get("REMOTE_ADDR", ""))
            raise AuthenticationFailed(NOT_VALID)
    refuse_in_outage()
    return found.principal


def known_principal(meta: Meta) -> Principal | None:
    """Returns the principal of a valid key in the headers, None without one.  Reads memory only, counts no guess.

    It grants nothing: it only tells whose call failed before its key was asked for.
    """
    try:
        text = credential(meta)
    except TwoCredentialsError:
        return None
    found = find(text, meta) if text is not None else None
    return None if found is None else found.principal


def require(meta: Meta) -> Principal:
    """Returns the principal as `identify` does, and raises NotAuthenticated where there is no key."""
    principal = identify(meta)
    if principal is None:
        raise NotAuthenticated(NO_KEY)
    return principal


def prepare(meta: Meta) -> Awaitable[object] | None:
    """Gives a well-formed key that is not in memory one chance: returns the feed's next poll, for it to be awaited.

    A secret issued a moment ago by another process thus works at once, and an invented one costs no query.
    """
    try:
        text = credential(meta)
    except TwoCredentialsError:
        return None
    if text is None:
        return None
    found = find(text, meta)
    if found is not None:
        meta[PREPARED] = found
    elif (keys.parse(text) or keys.is_legacy(text)) and not guesses.stopped(meta.get("REMOTE_ADDR", "")):
        return feed.refreshed()
    return None


class APIKeyAuthentication(BaseAuthentication):
    """Recognises the key in `X-API-Key` or `Authorization` (Bearer, Basic); a query string is never read.

    Without a key it stands aside, as Django REST framework asks of it: `HasAPIKey` is what refuses then.
    """

    def authenticate(self, request: Request | HttpRequest) -> tuple[Principal, None] | None:
        """Returns the key's principal; raises AuthenticationFailed.  Reads memory only."""
        principal = identify(request.META)
        return None if principal is None else (principal, None)

    def prepare(self, request: Request | HttpRequest) -> Awaitable[object] | None:
        """Returns what is to be awaited before `authenticate`, where there is an event loop: a fresh key's arrival."""
        return prepare(request.META)

    def authenticate_header(self, _request: Request | HttpRequest) -> str:
        """Returns the challenge that a 401 carries (RFC 6750)."""
        return CHALLENGE
