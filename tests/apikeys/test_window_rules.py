"""Rules for context windows of keys: nobody gives larger ones than they have."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.core.exceptions import ValidationError

from apikeys import lists
from apikeys.delegation import Authority, excesses
from apikeys.entries import window_rules
from apikeys.models import Key
from gateway.context_window import parse
from tests.harness import GatewayServer

ISSUER = frozenset({"inference", "keys"})
MANAGER = frozenset({"inference", "keys", "manage"})


@pytest.mark.parametrize(
    ("own", "scopes", "given", "allowed"),
    [
        ("", ISSUER, "", True),
        ("", ISSUER, "*=8192", False),
        ("", ISSUER, "*=1!", False),
        ("", MANAGER, "*=999999!", True),
        ("*=8192", MANAGER, "*=8192", True),
        ("*=8192", MANAGER, "", False),
        ("*=8192", ISSUER, "*=8192!", True),
        ("*=8192", ISSUER, "*=2048..8192", True),
        ("*=8192", ISSUER, "*=2048..", False),
        ("*=8192", ISSUER, "*=8192,llama3=8192", True),
        ("*=8192", ISSUER, "*=8192,llama3=16384", False),
        ("*=8192", ISSUER, "llama3=4096", False),
        ("*=32768,llama3=4096!", ISSUER, "*=32768,llama3=4096", True),
        # Another spelling of the same model is no way around its rule.
        ("*=32768,llama3=4096!", ISSUER, "*=32768,llama3=4096,llama3:latest=32768", False),
        ("*=32768,llama3=4096!", ISSUER, "*=32768,llama3=4096,registry.ollama.ai/library/llama3=32768", False),
        ("*=32768,llama3=4096!", ISSUER, "*=32768", False),
        ("qwen3:*=8192", ISSUER, "qwen3:*=8192,llama3=1", False),
        ("*=1024..", ISSUER, "*=999999", True),
    ],
)
def test_nobody_gives_larger_windows_than_they_have(
    own: str, scopes: frozenset[str], given: str, allowed: bool
) -> None:
    authority = Authority(scopes=scopes, windows=parse(own))
    found = list(excesses(authority, Key(label="x", context_window=given), {}))
    assert (found == []) is allowed, found


@pytest.mark.parametrize("text", ["8192", "*=x", "*=0", "*=9..8", "*=1,*=2"])
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="Invalid context window: write"):
        lists.window_rules(text)


def test_what_a_later_version_stored_is_no_rule() -> None:
    assert window_rules("*=8192@gpu") == ()
    assert window_rules("*=8192") == parse("*=8192")


def test_a_rule_travels_through_the_api(gateway: GatewayServer) -> None:
    secret = gateway.manage("createapikey", "windows", "--scopes", "inference,keys,manage", "--quiet").stdout.split()[
        -1
    ]

    def ask(method: str, path: str, **body: Any) -> dict[str, Any]:
        answer = httpx.request(method, f"{gateway.url}{path}", headers={"X-API-Key": secret}, json=body or None)
        return {"status": answer.status_code, **answer.json()}

    rules = ["*=8192", "qwen3:*=16384..32768", "llama3=32768!"]
    issued = ask("POST", "/api/v1/keys", label="ruled", context_window=rules)
    assert (issued["status"], issued["context_window"]) == (201, rules)
    path = f"/api/v1/keys/{issued['id']}"
    assert ask("GET", path)["context_window"] == rules
    refused = ask("PATCH", path, context_window=["*=many"])
    assert (refused["status"], "context window" in refused["message"]) == (400, True)
    assert ask("PATCH", path, context_window=[])["context_window"] == []
