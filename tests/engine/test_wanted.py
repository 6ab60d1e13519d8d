"""When the gateway starts the demo engine, and what it says about it."""

from __future__ import annotations

import socket
from typing import Literal

import pytest

from engine.wanted import Decision, something_listens, wanted

DEFAULT = "http://localhost:11434"


def decide(
    *,
    url: str | None = None,
    engine: Literal["auto", "on", "off"] = "auto",
    production: bool = False,
    answers: bool = False,
) -> Decision:
    return wanted(ollama_url=url, engine=engine, production=production, default_url=DEFAULT, answers=answers)


def test_it_starts_when_there_is_no_ollama() -> None:
    decision = decide()
    assert decision.start
    assert DEFAULT in decision.reason
    assert "demo model" in decision.reason
    assert "135 M parameters" in decision.reason


def test_an_ollama_at_the_default_address_is_used_instead() -> None:
    assert not decide(answers=True, engine="on").start


def test_a_given_address_is_never_replaced_even_when_the_engine_is_on() -> None:
    decision = decide(url="http://gpu:11434", engine="on")
    assert not decision.start
    assert "http://gpu:11434" in decision.reason


def test_off_forbids_it_and_says_what_to_do_instead() -> None:
    decision = decide(engine="off")
    assert not decision.start
    assert "ENGINE=off" in decision.reason
    assert "set OLLAMA_URL" in decision.reason


@pytest.mark.parametrize(("engine", "starts"), [("auto", False), ("on", True), ("off", False)])
def test_production_needs_it_switched_on(engine: Literal["auto", "on", "off"], starts: bool) -> None:
    decision = decide(engine=engine, production=True)
    assert decision.start is starts
    assert "demo model" in decision.reason


def test_a_listening_port_is_noticed_and_a_free_one_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert something_listens(url)
    assert not something_listens(url)
