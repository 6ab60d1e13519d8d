"""Bodies, headers, query strings, addresses and forms at random: each gets an answer, and none is a 500."""

from __future__ import annotations

import json
import re
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.connection import Prober, request
from tests.fuzz.inputs import HEADER_NAMES, HEADER_VALUES, TEXTS, documents, escaped, queries

few = settings(max_examples=50, suppress_health_check=list(HealthCheck))


def many(count: int) -> settings:
    """For tests that are run by --long alone; together they send 10⁵ inputs."""
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))


DAYS = ("2026-11-01", "2026-11-28", "9999-12-31", "0001-01-01", "1970-01-01", "2199-12-31")
USAGE = {
    "since": DAYS,
    "until": DAYS,
    "by": ("key", "day", "key,day,owner,team,model,route", "month"),
    "key": ("all", "x"),
    "owner": ("1", "0", str(2**62), str(2**63)),
    "team": ("research", "x"),
    "model": ("stub",),
    "route": ("/api/v1/generate",),
    "format": ("json", "csv", "xml"),
    "page_size": ("1", "5000", "5001"),
    "after": ("WyJ4Il0", "W10", "WyI5OTk5LTEyLTMxIl0"),
}
KEYS = {
    "after": ("1", "0", str(2**63)),
    "page": ("1", "0", str(2**63)),
    "page_size": ("1", "5000"),
    "state": ("active", "revoked", "x"),
    "team": ("research",),
    "label": ("Ana",),
    "owner": ("admin", "1"),
}
QUERIED = {
    "/api/v1/usage": USAGE,
    "/api/v1/keys": KEYS,
    "/api/v1/limits": KEYS,
    "/api/v1/key": KEYS,
    "/api/info": KEYS,
    "/api/schema": {"format": ("json", "yaml", "x"), "lang": ("en",)},
    "/health": KEYS,
    "/metrics": {"name[]": ("x",)},
    "/api/tags": KEYS,
    "/v1/models": {"limit": ("1",), "after_id": ("x",)},
}
LISTS = {
    "q": ("Ana", "ollama_x_y", "user:ana"),
    "o": ("1", "-1", "1.2", "99", "0"),
    "p": ("1", "2", "0", "-1", "99999999999999999999"),
    "e": ("1",),
    "all": ("",),
    "_to_field": ("id", "label"),
    "_popup": ("1",),
    "_changelist_filters": ("q=x", "%00"),
    "state": ("active", "disabled", "x"),
    "team": ("research", "\0"),
    "model": ("mistral", "\0"),
    "owner": ("1", str(2**63), "x"),
    "owner__id__exact": ("1", str(2**63), "x"),
    "period": ("day", "week", "month", "year", "x"),
    "key": ("x",),
    "whose": ("team:research", "owner:admin", "team:\0", "x"),
    "action": ("issued",),
    "action__exact": ("issued", "\0"),
    "app_label": ("apikeys",),
    "model_name": ("key",),
    "field_name": ("owner",),
    "term": ("a",),
    "next": ("//evil.example", "/admin/"),
    "s": ("x", "\0"),
    "password__startswith": ("pbkdf2",),
    "owner__password__startswith": ("pbkdf2",),
    "label__regex": ("(", "(a+)+$"),
    "created__gte": DAYS,
    "created__year": ("2026", "0", "10000"),
    "when__year": ("2026", "9999", "x"),
    "when__gte": DAYS,
    "id__in": ("1,2", "1," * 2000),
    "is_staff__exact": ("1", "x"),
    "status": ("200", "x", str(2**63)),
    "day": DAYS,
    "since": DAYS,
    "until": DAYS,
}
PAGES = (
    *("/", "/docs", "/api/docs", "/admin/", "/admin/search/", "/admin/login/", "/admin/autocomplete/"),
    *("/admin/auth/user/", "/admin/auth/group/", "/admin/apikeys/key/", "/admin/apikeys/key/add/"),
    *("/admin/apikeys/key/1/change/", "/admin/apikeys/key/1/history/", "/admin/apikeys/allowance/"),
    *("/admin/apikeys/allowance/add/", "/admin/apikeys/attemptcount/", "/admin/apikeys/auditentry/"),
    *("/admin/apikeys/auditentry/export.csv", "/admin/apikeys/auditentry/export.json"),
    *("/admin/usage/usageday/", "/admin/usage/usagerecord/"),
)
WITH_ID = (
    *("/admin/apikeys/key/{}/change/", "/admin/apikeys/key/{}/rotate/", "/admin/apikeys/key/{}/revoke/"),
    *("/admin/apikeys/key/{}/history/", "/admin/auth/user/{}/change/", "/admin/auth/user/{}/password/"),
    *("/admin/apikeys/auditentry/{}/change/", "/admin/usage/usageday/{}/change/", "/admin/usage/usagerecord/{}/"),
    *("/admin/apikeys/allowance/{}/change/", "/admin/r/{}/1/", "/admin/r/8/{}/", "/admin/{}/", "/admin/{}/x/add/"),
    *("/api/v1/keys/{}", "/api/v1/keys/{}/rotate", "/api/v1/limits/{}", "/v1/models/{}", "/api/blobs/{}", "/{}"),
    *("/api/{}", "/v1/{}", "/static/{}", "/health/{}", "/docs/{}"),
)
CHAT = {"model": "stub", "messages": [{"role": "user", "content": "hi"}], "stream": False}
GENERATE = {"model": "stub", "prompt": "hi", "stream": False, "options": {"num_predict": 1}}
KEY = {
    "label": "new",
    "limits": {"requests_per_minute": 5},
    "expires": "30d",
    "team": "research",
    "scopes": ["inference"],
}
BODIES = {
    "/api/v1/generate": GENERATE,
    "/api/v1/chat": CHAT,
    "/api/generate": GENERATE,
    "/api/chat": CHAT,
    "/api/embed": {"model": "stub-embed", "input": ["a"]},
    "/api/show": {"model": "stub"},
    "/v1/chat/completions": CHAT | {"max_tokens": 2, "tools": [], "stream_options": {"include_usage": True}},
    "/v1/completions": {"model": "stub", "prompt": "hi", "max_tokens": 2},
    "/v1/embeddings": {"model": "stub-embed", "input": "a"},
    "/v1/responses": {"model": "stub", "input": "hi", "max_output_tokens": 2, "tools": [], "text": {}},
    "/v1/messages": CHAT | {"max_tokens": 2, "system": [{"type": "text", "text": "x"}], "thinking": {}},
    "/v1/messages/count_tokens": CHAT,
    "/api/v1/keys": KEY,
}
NAMES = (
    *("model", "messages", "prompt", "stream", "options", "keep_alive", "format", "tools", "tool_choice", "think"),
    *("input", "system", "images", "suffix", "max_tokens", "stop", "metadata", "label", "team", "owner", "note"),
    *("routes", "addresses", "scopes", "expires", "limits", "body_limit", "enabled", "grace", "response_format"),
    *("name", "raw", "models"),
)
queried = st.sampled_from(sorted(QUERIED)).flatmap(lambda path: st.tuples(st.just(path), queries(QUERIED[path])))
paged = st.tuples(st.sampled_from(PAGES), queries(LISTS))
placed = st.tuples(st.sampled_from(WITH_ID), TEXTS)
headed = st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), min_size=1, max_size=4)
bodied = st.sampled_from(sorted(BODIES)).flatmap(lambda path: st.tuples(st.just(path), documents(BODIES[path], NAMES)))
changes = documents(KEY, NAMES)
FIELDS = (
    *(
        "label",
        "owner",
        "team",
        "note",
        "scopes",
        "models",
        "routes",
        "addresses",
        "body_limit",
        "enabled",
        "expires_0",
    ),
    *("expires_1", "requests_per_minute", "tokens_total", "whose", "_save", "action", "_selected_action", "username"),
    *("password1", "password2", "groups", "user_permissions", "grace"),
)
fields = st.dictionaries(st.sampled_from(FIELDS), TEXTS, max_size=6)
FORMS = (
    *("/admin/apikeys/key/add/", "/admin/apikeys/key/1/change/", "/admin/apikeys/key/1/rotate/", "/admin/apikeys/key/"),
    *("/admin/apikeys/allowance/add/", "/admin/auth/user/add/", "/admin/auth/group/add/", "/admin/login/"),
)
formed = st.tuples(st.sampled_from(FORMS), fields)


class Queries:
    """The checks, each of one input; the tests below run each of them few times, or many."""

    @staticmethod
    def api(prober: Prober, manager: str, found: tuple[str, str]) -> None:
        path, query = found
        prober.send(request("GET", f"{path}?{query}", {"X-API-Key": manager}))

    @staticmethod
    def pages(prober: Prober, session: str, found: tuple[str, str]) -> None:
        path, query = found
        prober.send(request("GET", f"{path}?{query}", {"Cookie": session}))

    @staticmethod
    def addresses(prober: Prober, session: str, manager: str, found: tuple[str, str]) -> None:
        path, value = found
        prober.send(request("GET", path.format(escaped(value)), {"Cookie": session, "X-API-Key": manager}))

    @staticmethod
    def headers(prober: Prober, key: str, found: list[tuple[str, str]]) -> None:
        body = json.dumps(GENERATE).encode()
        prober.send(request("POST", "/api/generate", {"X-API-Key": key, **dict(found)}, body))
        prober.send(request("GET", "/", dict(found)))

    @staticmethod
    def bodies(prober: Prober, manager: str, found: tuple[str, bytes]) -> None:
        path, body = found
        prober.send(request("POST", path, {"X-API-Key": manager, "Content-Type": "application/json"}, body))

    @staticmethod
    def forms(prober: Prober, session: str, found: tuple[str, dict[str, str]]) -> None:
        path, values = found
        token = re.search(r"csrftoken=(\w+)", session)
        assert token
        form = {"csrfmiddlewaretoken": token[1], **values}
        body = urlencode(form, errors="surrogatepass").encode()
        headers = {"Cookie": session, "Content-Type": "application/x-www-form-urlencoded"}
        prober.send(request("POST", path, headers, body))


@few
@given(found=queried)
def test_any_query_of_the_api_is_answered(prober: Prober, manager: str, found: tuple[str, str]) -> None:
    Queries.api(prober, manager, found)


@few
@given(found=paged)
def test_any_query_of_a_page_is_answered(prober: Prober, session: str, found: tuple[str, str]) -> None:
    Queries.pages(prober, session, found)


@few
@given(found=placed)
def test_any_address_is_answered(prober: Prober, session: str, manager: str, found: tuple[str, str]) -> None:
    Queries.addresses(prober, session, manager, found)


@few
@given(found=headed)
def test_any_header_is_answered(prober: Prober, manager: str, found: list[tuple[str, str]]) -> None:
    Queries.headers(prober, manager, found)


@few
@given(found=bodied)
def test_any_body_is_answered(prober: Prober, manager: str, found: tuple[str, bytes]) -> None:
    Queries.bodies(prober, manager, found)


@few
@given(found=formed)
def test_any_form_is_answered(prober: Prober, session: str, found: tuple[str, dict[str, str]]) -> None:
    Queries.forms(prober, session, found)


@pytest.mark.long
@many(20_000)
@given(found=queried)
def test_many_queries_of_the_api_are_answered(prober: Prober, manager: str, found: tuple[str, str]) -> None:
    Queries.api(prober, manager, found)


@pytest.mark.long
@many(6_000)
@given(found=paged)
def test_many_queries_of_pages_are_answered(prober: Prober, session: str, found: tuple[str, str]) -> None:
    Queries.pages(prober, session, found)


@pytest.mark.long
@many(6_000)
@given(found=placed)
def test_many_addresses_are_answered(prober: Prober, session: str, manager: str, found: tuple[str, str]) -> None:
    Queries.addresses(prober, session, manager, found)


@pytest.mark.long
@many(10_000)
@given(found=headed)
def test_many_headers_are_answered(prober: Prober, manager: str, found: list[tuple[str, str]]) -> None:
    Queries.headers(prober, manager, found)


@pytest.mark.long
@many(45_000)
@given(found=bodied)
def test_many_bodies_are_answered(prober: Prober, manager: str, found: tuple[str, bytes]) -> None:
    Queries.bodies(prober, manager, found)


@pytest.mark.long
@many(3_000)
@given(found=formed)
def test_many_forms_are_answered(prober: Prober, session: str, found: tuple[str, dict[str, str]]) -> None:
    Queries.forms(prober, session, found)
