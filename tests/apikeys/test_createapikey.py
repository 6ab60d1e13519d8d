"""`manage.py createapikey`."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apikeys import keys
from apikeys.management.commands import createapikey
from apikeys.models import Key

pytestmark = pytest.mark.django_db


def create(*arguments: str) -> str:
    output = StringIO()
    call_command("createapikey", *arguments, stdout=output)
    return output.getvalue()


def test_it_shows_the_key_once_with_a_command_that_uses_it() -> None:
    output = create("Ana's laptop")
    key = Key.objects.get()
    secret = next(word for word in output.split() if word.startswith("ollama_"))
    assert keys.parse(secret).id == key.key_id
    assert "Ana's laptop" in output
    assert "never expires" in output
    assert f"-H 'X-API-Key: {secret}'" in output
    assert "http://127.0.0.1:8100/api/v1/generate" in output


def test_quiet_prints_the_key_alone() -> None:
    output = create("robot", "--quiet")
    assert keys.parse(output.removesuffix("\n")).id == Key.objects.get().key_id


def test_a_key_can_expire() -> None:
    output = create("guest", "--expires", "30d")
    key = Key.objects.get()
    assert abs(key.expires - timezone.now() - timedelta(days=30)) < timedelta(minutes=1)
    assert f"expires {key.expires:%Y-%m-%d %H:%M} UTC" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["guest", "--expires", "soon"], "30d"),
        (["guest", "--expires", "2001-01-01"], "not in the future"),
        ([""], "needs a label"),
        (["two\nlines"], "one line"),
        (["x" * 101], "100 characters"),
        (["a", "--scopes", "inference,root"], "Unknown scope 'root'"),
        (["a", "--scopes", ","], "needs a scope"),
        (["a", "--models", "mistral,a b|c"], "'b|c' is no model"),
    ],
    ids=["no time", "the past", "empty label", "two lines", "long label", "no scope", "no scopes", "no model"],
)
def test_what_it_cannot_do_it_says(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        create(*arguments)
    assert not Key.objects.exists()


class Terminal:
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


def test_it_asks_for_a_label_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(createapikey.sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda _prompt: "typed")
    create()
    assert Key.objects.get().label == "typed"


@pytest.mark.parametrize("gesture", [EOFError, KeyboardInterrupt])
def test_leaving_at_the_question_makes_no_key(monkeypatch: pytest.MonkeyPatch, gesture: type[BaseException]) -> None:
    def leave(_prompt: str) -> str:
        raise gesture

    monkeypatch.setattr(createapikey.sys, "stdin", Terminal())
    monkeypatch.setattr("builtins.input", leave)
    with pytest.raises(CommandError, match="No key was made"):
        create()
    assert not Key.objects.exists()


def test_it_does_not_ask_where_nobody_can_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(createapikey.sys, "stdin", StringIO("label\n"))
    with pytest.raises(CommandError, match="createapikey LABEL"):
        create()


def test_a_key_can_be_given_scopes_and_models() -> None:
    create("robot", "--scopes", "keys, inference,keys", "--models", "mistral, llama3*,me/*")
    key = Key.objects.get()
    assert (key.scopes, key.models) == ("keys,inference", "mistral,llama3*,me/*")
    create("plain")
    assert Key.objects.filter(scopes="inference", models="").count() == 1
