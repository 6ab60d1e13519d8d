"""Who is let in, and what everybody else is told."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request
from rest_framework.views import APIView

from apikeys import authentication, keys
from apikeys.authentication import NO_KEY, NOT_VALID, APIKeyAuthentication, require
from apikeys.feed import KeyFeed
from apikeys.models import Key
from apikeys.permissions import HasAPIKey

pytestmark = pytest.mark.django_db


def request(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers={name.replace("_", "-"): value for name, value in headers.items()})


def authenticate(**headers: str) -> object:
    found = APIKeyAuthentication().authenticate(request(**headers))
    return None if found is None else found[0]


@pytest.fixture
def issued(own_feed: KeyFeed) -> tuple[Key, str]:
    key, secret = Key.objects.issue(label="Ana")
    own_feed.load()
    return key, secret


@pytest.mark.parametrize("spelling", [{"X_API_Key": "{}"}, {"Authorization": "Bearer {}"}], ids=["x-api-key", "bearer"])
def test_a_key_is_recognised_in_either_header(issued: tuple[Key, str], spelling: dict[str, str]) -> None:
    key, secret = issued
    principal = authenticate(**{name: value.format(secret) for name, value in spelling.items()})
    assert (principal.key_id, principal.label, principal.is_authenticated) == (key.key_id, "Ana", True)


def test_a_request_without_a_key_is_left_to_the_permission(issued: tuple[Key, str]) -> None:
    assert authenticate() is None


def test_the_query_string_is_never_read(issued: tuple[Key, str]) -> None:
    asked = RequestFactory().get("/", {"api_key": issued[1], "key": issued[1], "X-API-Key": issued[1]})
    assert APIKeyAuthentication().authenticate(asked) is None


def test_two_keys_that_differ_are_refused_though_each_is_valid(own_feed: KeyFeed) -> None:
    (_, one), (_, two) = Key.objects.issue(label="one"), Key.objects.issue(label="two")
    own_feed.load()
    with pytest.raises(AuthenticationFailed, match="two different keys"):
        authenticate(X_API_Key=one, Authorization=f"Bearer {two}")


def test_the_same_key_in_both_headers_is_one_key(issued: tuple[Key, str]) -> None:
    assert authenticate(X_API_Key=issued[1], Authorization=f"Bearer {issued[1]}") is not None


def _revoked() -> str:
    key, secret = Key.objects.issue(label="revoked")
    key.revoke()
    return secret


def _expired() -> str:
    key, secret = Key.objects.issue(label="expired", expires=timezone.now() + timedelta(hours=1))
    Key.objects.filter(pk=key.pk).update(expires=timezone.now())
    return secret


def _other_secret() -> str:
    key, _ = Key.objects.issue(label="known")
    body = f"ollama_{key.key_id}_{keys.generate().text.split('_')[2][:43]}"
    return body + keys.checksum(body)


INVALID = {
    "unknown": lambda: keys.generate().text,
    "malformed": lambda: "sk-1234",
    "revoked": _revoked,
    "expired": _expired,
    "a known id with another secret": _other_secret,
    "a wrong checksum": lambda: Key.objects.issue(label="x")[1][:-1] + "!",
    "sent twice": lambda: ",".join([Key.objects.issue(label="x")[1]] * 2),
    "latin-1": lambda: "ollama_\xff\xfe",
    "very long": lambda: "ollama_" + "a" * 60_000,
}


@pytest.mark.parametrize("make", INVALID.values(), ids=INVALID.keys())
def test_every_invalid_key_is_refused_with_the_same_words(own_feed: KeyFeed, make: object) -> None:
    secret = make()
    own_feed.load()
    with pytest.raises(AuthenticationFailed) as refusal:
        authenticate(X_API_Key=secret)
    assert str(refusal.value.detail) == NOT_VALID
    assert refusal.value.status_code == 401


def test_a_key_expires_without_any_word_from_the_feed(own_feed: KeyFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    key, secret = Key.objects.issue(label="soon", expires=timezone.now() + timedelta(minutes=1))
    own_feed.load()
    assert authenticate(X_API_Key=secret) is not None
    monkeypatch.setattr(authentication, "time", SimpleNamespace(time=key.expires.timestamp))
    with pytest.raises(AuthenticationFailed):
        authenticate(X_API_Key=secret)


def test_a_missing_key_is_told_how_to_send_one(issued: tuple[Key, str]) -> None:
    with pytest.raises(NotAuthenticated) as refusal:
        require(request().META)
    assert "X-API-Key" in NO_KEY
    assert str(refusal.value.detail) == NO_KEY


def test_a_view_refuses_with_401_and_a_challenge(issued: tuple[Key, str]) -> None:
    class Closed(APIView):
        authentication_classes = [APIKeyAuthentication]
        permission_classes = [HasAPIKey]

        def get(self, asked: Request) -> object:
            from rest_framework.response import Response

            return Response({"caller": asked.user.label})

    view = Closed.as_view()
    refused = view(request())
    assert refused.status_code == 401
    assert refused["WWW-Authenticate"].startswith("Bearer")
    assert refused.data["detail"] == NO_KEY
    assert view(request(X_API_Key="nonsense")).status_code == 401
    assert view(request(X_API_Key=issued[1])).data == {"caller": "Ana"}


def test_authentication_needs_no_query(issued: tuple[Key, str], django_assert_num_queries: object) -> None:
    with django_assert_num_queries(0):
        assert authenticate(X_API_Key=issued[1]) is not None
