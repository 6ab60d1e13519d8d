"""Model lists and teams that can't be right are refused or warned of where they are typed: admin, API and commands."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable

import httpx
import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client

from apikeys import lists
from apikeys.input_warnings import input_warnings, installed_models
from apikeys.models import Allowance, Key
from gateway.probe import InstalledModels
from tests.harness import ADMIN_PASSWORD, GatewayServer

WRONG_MODELS = (
    "mis tral,,",
    "mis tral",
    "mistral,",
    ",",
    "mistral,,llama3",
    "mistral:",
    ":7b",
    "a:b:c",
    "/mistral",
    "me//mistral",
    "http://host/mistral",
    "mistral;llama3",
    "mistral[1",
    "(mistral)",
    "a b\nc",
)
RIGHT_MODELS = (
    "",
    "mistral",
    "mistral, llama3*",
    "a\nb\n",
    "a,\nb",
    "me/*",
    "hf.co/me/x:Q4_K_M",
    "host:5000/me/x:7b",
    "*:7b",
)
WRONG_TEAMS = ("research,,", ",research", "team:research", "owner:ana", "mis tral,,")


@pytest.mark.parametrize("text", WRONG_MODELS)
def test_a_model_list_that_can_not_be_right_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        lists.model_patterns(text)


@pytest.mark.parametrize("text", RIGHT_MODELS)
def test_a_model_list_is_taken_as_people_write_it(text: str) -> None:
    lists.model_patterns(text)


@pytest.mark.parametrize("check", [lists.known_routes, lists.networks, lists.known_scopes])
def test_a_list_of_nothing_but_commas_is_no_empty_list(check: Callable[[str], None]) -> None:
    for text in (",", " ,\n, "):
        with pytest.raises(ValidationError):
            check(text)


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installed_models, "source", lambda: ("mistral:latest", "me/mine:7b"))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("patterns", "unmatched"),
    [
        ("mistral", []),
        ("mistral:latest,me/*", []),
        ("*", []),
        ("mistal,me/mine", ["mistal", "me/mine"]),
        ("MISTRAL", []),
        ("llama3*,mis*", ["llama3*"]),
    ],
)
def test_a_pattern_that_matches_no_model_is_said(models: None, patterns: str, unmatched: list[str]) -> None:
    found = input_warnings(Key(label="x", models=patterns))
    assert [re.findall(r"'(.+)'", line)[0] for line in found] == unmatched


@pytest.mark.django_db
def test_a_key_that_asks_no_model_and_an_ollama_that_is_away_are_no_reason_to_warn(
    models: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert input_warnings(Key(label="x", models="mistal", scopes="metrics")) == []
    monkeypatch.setattr(installed_models, "source", lambda: None)
    assert input_warnings(Key(label="x", models="mistal")) == []


@pytest.mark.django_db
def test_a_team_that_is_nearly_another_is_said() -> None:
    Key.objects.issue(label="x", team="research")
    assert input_warnings(Key(label="y", team="research")) == []
    assert "'research'" in input_warnings(Key(label="y", team="Research"))[0]
    assert "one team" in input_warnings(Key(label="y", team="research,sales"))[0]


@pytest.mark.django_db
@pytest.mark.parametrize("team", WRONG_TEAMS)
def test_a_team_that_can_not_be_right_is_refused(team: str) -> None:
    with pytest.raises(ValidationError):
        Key.objects.issue(label="x", team=team)


@pytest.mark.django_db
def test_a_team_from_before_this_rule_can_still_be_used() -> None:
    key, _ = Key.objects.issue(label="x")
    Key.objects.filter(pk=key.pk).update(team="old,")
    key.refresh_from_db()
    key.note = "changed"
    key.full_clean()
    Allowance.limit("team", "older,", "team:older,", {"concurrency": 1})
    from apikeys.whose import Nobody, whose

    assert whose("team:older,").limits == {"concurrency": 1}
    with pytest.raises(Nobody):
        whose("team:new,")


def test_an_ollama_that_drips_or_is_away_is_given_up_soon(settings: object) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stop.wait(0.1):
                    connection.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        settings.OLLAMA_URL = address  # type: ignore[attr-defined] # pytest-django's settings
        ask = InstalledModels()
        try:
            begin = time.monotonic()
            assert ask() is None
            assert time.monotonic() - begin < 10 * ask.PATIENCE
            begin = time.monotonic()
            assert [ask() for _ in range(100)] == [None] * 100, "a failure is remembered"
            assert time.monotonic() - begin < ask.PATIENCE
        finally:
            stop.set()


# Through the front doors


@pytest.mark.parametrize("text", WRONG_MODELS[:5])
def test_admin_api_and_commands_refuse_alike(gateway: GatewayServer, text: str) -> None:
    manager = gateway.manage("createapikey", "manager", "--quiet", "--scopes", "inference,keys").stdout.strip()
    refused = gateway.manage("createapikey", "wrong", "--models", text, check=False)
    assert refused.returncode == 1
    answer = httpx.post(
        f"{gateway.url}/api/v1/keys",
        json={"label": "wrong", "models": text.split(",")},
        headers={"X-API-Key": manager},
    )
    assert answer.status_code == 400
    assert '"wrong"' not in gateway.manage("listapikeys", "--json").stdout


@pytest.mark.django_db
@pytest.mark.parametrize("text", WRONG_MODELS[:5])
def test_the_admin_refuses_them_too(admin_client: Client, text: str) -> None:
    form = {"label": "wrong", "expires_0": "", "expires_1": "", "models": text}
    assert (
        "errorlist" in admin_client.post("/admin/apikeys/key/add/", form).content.decode() or not Key.objects.exists()
    )
    assert not Key.objects.exists()


@pytest.mark.django_db
def test_the_admin_says_what_matches_nothing_and_issues(models: None, admin_client: Client) -> None:
    form = {"label": "x", "expires_0": "", "expires_1": "", "models": "mistal"}
    text = admin_client.post("/admin/apikeys/key/add/", form).content.decode()
    assert Key.objects.count() == 1
    assert "No model on the Ollama matches" in text
    User.objects.create_user("ana")
    answer = admin_client.post(
        "/admin/apikeys/allowance/add/", {"whose": "team:reserch", "tokens_per_day": "5"}, follow=True
    )
    assert "No key belongs to team:reserch" in answer.content.decode()


def test_commands_and_the_api_say_what_matches_nothing(gateway: GatewayServer) -> None:
    done = gateway.manage("createapikey", "typo", "--quiet", "--models", "no-such-model")
    assert "Warning: No model on the Ollama matches 'no-such-model'" in done.stderr
    assert done.stdout.startswith("ollama_")
    manager = gateway.manage("createapikey", "manager", "--quiet", "--scopes", "inference,keys").stdout.strip()
    headers = {"X-API-Key": manager}
    base = f"{gateway.url}/api/v1"
    issued = httpx.post(f"{base}/keys", json={"label": "api", "models": ["no-such-model"]}, headers=headers)
    assert issued.status_code == 201
    assert "'no-such-model'" in issued.json()["warnings"][0]
    there = httpx.get(f"{gateway.url}/api/tags", headers=gateway.headers).json()["models"][0]["name"]
    changed = httpx.patch(f"{base}/keys/{issued.json()['id']}", json={"models": [there]}, headers=headers)
    assert "warnings" not in changed.json()
    limited = httpx.patch(f"{base}/limits/team:reserch", json={"tokens_per_day": 5}, headers=headers)
    assert "team:reserch" in limited.json()["warnings"][0]


def test_nothing_is_said_or_waited_for_where_ollama_is_away(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(ollama_url="http://127.0.0.1:9")
    done = server.manage("createapikey", "typo", "--quiet", "--models", "no-such-model")
    assert done.stderr == ""
    assert json.loads(server.manage("listapikeys", "--json").stdout)[0]["label"] == "typo"
    assert ADMIN_PASSWORD not in done.stdout
