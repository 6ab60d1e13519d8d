"""`/api/show` reports the context window that a key gets, and rules of a key come before the settings'."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from benchmarks.stub_client import StubProcess
from tests.dialects.front import BODIES, House, Keyed, name_of, opened

SHOW, CHAT = "/api/show", "/api/chat"


@pytest.fixture(scope="module")
def ruled(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A gateway with rules, and a key `own` that has some of its own."""
    with opened(stub, keys, CONTEXT_WINDOW="*=8192,stub-wide-trained65536=2048..16384") as made:
        done = made.server.manage(
            "createapikey", "own", "--context-window", "*=1024,stub-forced-trained65536=4000!", "--quiet"
        )
        yield made._replace(keys={**made.keys, "own": done.stdout.split()[-1]})


def windows(house: House, model: str, who: str = "user") -> tuple[Any, Any]:
    """What a description says: the length of `model_info`, and the line of the parameters."""
    answer = house.ask(SHOW, {"model": model}, who=who).json()
    lines = [line.split()[1] for line in answer["parameters"].splitlines() if line.startswith("num_ctx ")]
    return answer["model_info"]["stub.context_length"], (lines or [None])[0]


def test_a_model_is_described_with_the_window_that_it_is_loaded_with(house: House) -> None:
    house.stub.load("stub-trained131072:latest", 16384)
    assert windows(house, "stub-trained131072") == (16384, None)
    # A key that manages may set any, and sees what Ollama says.
    assert windows(house, "stub-trained131072", who="manager") == (131072, None)
    house.stub.load("stub-trained131072:latest", 20000)
    body = {**BODIES[CHAT], "model": "stub-trained131072", "options": {"num_ctx": 16384}}
    house.stub.wait_for(lambda _: windows(house, "stub-trained131072") == (20000, None))
    assert house.ask(CHAT, body).headers["x-gateway-changed"] == "options.num_ctx=20000"


def test_a_model_that_is_not_loaded_is_described_with_its_own_window(house: House) -> None:
    assert windows(house, "stub-num8192-trained65536") == (8192, "8192")
    # What Ollama would give it is not known.
    assert windows(house, "stub-trained65536-cold") == (65536, None)


def test_what_is_the_same_stays_as_ollama_wrote_it(house: House) -> None:
    body = {"model": "stub-as-it-is"}
    assert house.ask(SHOW, body).body == house.upstreams_own(SHOW, body)


def test_all_else_of_a_description_stays(house: House) -> None:
    body = {"model": "stub-num8192-trained65536-b"}
    plain, shown = orjson.loads(house.upstreams_own(SHOW, body)), house.ask(SHOW, body).json()
    assert shown["model_info"].pop("stub.context_length") == 8192
    assert plain["model_info"].pop("stub.context_length") == 65536
    assert shown == plain
    assert list(shown) == list(plain)


@pytest.mark.parametrize(
    ("who", "model", "shown"),
    [
        ("user", "stub-trained65536-r", (8192, "8192")),
        ("user", "stub-wide-trained65536", (16384, "2048")),
        ("user", "stub-rule", (4096, "4096")),  # made for no more
        ("user", "stub-num512-rule", (4096, "4096")),
        ("own", "stub-trained65536-r", (1024, "1024")),
        ("own", "stub-forced-trained65536", (4000, "4000")),
        ("manager", "stub-wide-trained65536", (65536, None)),
    ],
)
def test_a_rule_is_described(ruled: House, who: str, model: str, shown: tuple[Any, Any]) -> None:
    assert windows(ruled, model, who=who) == shown


@pytest.mark.parametrize(
    ("who", "model", "asked", "sent"),
    [
        ("user", "stub", None, 8192),
        ("own", "stub", None, 1024),
        ("own", "stub", 8192, 1024),
        ("own", "stub", 512, 512),
        ("own", "stub-forced-trained65536", 512, 4000),
    ],
)
def test_a_keys_rule_comes_before_the_settings(
    ruled: House, who: str, model: str, asked: int | None, sent: int
) -> None:
    options = {} if asked is None else {"options": {"num_ctx": asked}}
    ruled.ask(CHAT, {**BODIES[CHAT], "model": model, **options}, who=who)
    (request,) = (request for request in ruled.reached() if name_of(request) == "POST /api/chat")
    assert request.json()["options"]["num_ctx"] == sent


def test_a_changed_rule_counts_at_once(ruled: House) -> None:
    key_id = ruled.keys["stubs"].split("_")[1]
    ruled.server.manage("changeapikey", key_id, "--context-window", "*=3333!")

    def sends(window: int) -> bool:
        ruled.stub.reset()
        ruled.ask(CHAT, BODIES[CHAT], who="stubs")
        (request,) = (request for request in ruled.reached() if name_of(request) == "POST /api/chat")
        return bool(request.json()["options"]["num_ctx"] == window)

    ruled.stub.wait_for(lambda _: sends(3333))
    ruled.server.manage("changeapikey", key_id, "--context-window", "")
    ruled.stub.wait_for(lambda _: sends(8192))
    refused = ruled.server.manage("changeapikey", key_id, "--context-window", "*=x", check=False)
    assert refused.returncode == 1
    assert "Invalid context window" in refused.stderr
