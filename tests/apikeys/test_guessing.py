"""Guessing keys costs the gateway no query and the guesser his time."""

from __future__ import annotations

import asyncio
import random
import string
from typing import Any

import pytest
from rest_framework.exceptions import AuthenticationFailed

from apikeys import authentication, keys
from apikeys.authentication import identify, prepare
from apikeys.feed import KeyFeed
from apikeys.models import Key

GUESSES = 10_000


class WatchedFeed:
    """Counts who waits for the next poll."""

    def __init__(self) -> None:
        self.waited = 0
        self.unsure = False
        self.outage = 0.0

    async def refreshed(self) -> bool:
        self.waited += 1
        return True


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch, settings: Any) -> WatchedFeed:
    settings.INVALID_KEYS_PER_MINUTE = 1_000_000
    feed = WatchedFeed()
    monkeypatch.setattr(authentication, "feed", feed)
    return feed


def guess(rng: random.Random) -> str:
    """A guess in the shape of a key, without its checksum."""
    letters = "".join(rng.choices(string.ascii_letters + string.digits, k=12 + 49))
    return f"ollama_{letters[:12]}_{letters[12:]}"


@pytest.mark.django_db
def test_ten_thousand_random_keys_cost_no_query_and_no_wait(
    own_feed: KeyFeed, watched: WatchedFeed, django_assert_num_queries: object
) -> None:
    Key.objects.issue(label="Ana")
    own_feed.load()
    rng = random.Random(62)  # noqa: S311 -- the same guesses each time
    with django_assert_num_queries(0):
        for _ in range(GUESSES):
            meta = {"HTTP_X_API_KEY": guess(rng)}
            assert prepare(meta) is None
            with pytest.raises(AuthenticationFailed):
                identify(meta)
    assert watched.waited == 0


@pytest.mark.django_db
def test_keys_with_a_forged_checksum_wait_for_a_poll_and_cost_no_query_either(
    own_feed: KeyFeed, watched: WatchedFeed, django_assert_num_queries: object
) -> None:
    own_feed.load()
    with django_assert_num_queries(0):
        for _ in range(100):
            meta = {"HTTP_X_API_KEY": keys.generate().text}
            waits = prepare(meta)
            assert waits is not None
            asyncio.run(waits)
            with pytest.raises(AuthenticationFailed):
                identify(meta)
    assert watched.waited == 100


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"HTTP_X_API_KEY": "sk-1234"},
        {"HTTP_X_API_KEY": keys.generate().text, "HTTP_AUTHORIZATION": f"Bearer {keys.generate().text}"},
    ],
    ids=["no key", "malformed", "two that differ"],
)
def test_what_cannot_be_a_fresh_key_does_not_wait(watched: WatchedFeed, meta: dict[str, str]) -> None:
    assert prepare(meta) is None
    assert watched.waited == 0


@pytest.mark.django_db
def test_a_known_key_does_not_wait(own_feed: KeyFeed, watched: WatchedFeed) -> None:
    _, secret = Key.objects.issue(label="Ana")
    own_feed.load()
    assert prepare({"HTTP_X_API_KEY": secret}) is None
    assert watched.waited == 0
