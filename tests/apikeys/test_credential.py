"""Which key a request carries, in every spelling."""

from __future__ import annotations

from base64 import b64encode

import pytest

from apikeys.credential import TwoCredentialsError, credential
from apikeys.keys import checksum


def basic(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("plain", "authorization", "expected"),
    [
        pytest.param("k", None, "k", id="X-API-Key"),
        pytest.param(None, "Bearer k", "k", id="Bearer"),
        pytest.param(None, "bearer k", "k", id="bearer in lower case"),
        pytest.param(None, "BEARER   k  ", "k", id="Bearer with spaces"),
        pytest.param(" k ", None, "k", id="X-API-Key with spaces"),
        pytest.param("k", "Bearer k", "k", id="both the same"),
        pytest.param("", "Bearer k", "k", id="X-API-Key empty"),
        pytest.param("k", "Bearer ", "k", id="Bearer empty"),
        pytest.param("k", "Digest k2", "k", id="another scheme beside a key"),
        pytest.param(None, f"Basic {basic('ana:k')}", "k", id="Basic"),
        pytest.param(None, f"basic {basic(':k')}", "k", id="Basic in lower case, without a user"),
        pytest.param(None, f"BASIC  {basic('ana:k')} ", "k", id="Basic with spaces"),
        pytest.param("k", f"Basic {basic('ana:k')}", "k", id="Basic and X-API-Key the same"),
        pytest.param(None, f"Basic {basic('ana:k:k')}", "k:k", id="Basic with a colon in the password"),
        pytest.param(None, f"Basic {basic('k')}", None, id="Basic without a password"),
        pytest.param(None, f"Basic {basic('k:')}", None, id="Basic with an empty password"),
        pytest.param(None, "Basic", None, id="Basic without anything"),
        pytest.param(None, "Basic k:k", "k:k", id="Basic that is not base64, kept as a malformed key"),
        pytest.param(None, "Basic /w==", "/w==", id="Basic that is not text, kept as a malformed key"),
        pytest.param(None, f"Basic {basic('a:k')},Bearer k", f"{basic('a:k')},Bearer k", id="two Authorizations"),
        pytest.param(None, None, None, id="nothing"),
        pytest.param("", "", None, id="both empty"),
        pytest.param(None, "Bearer", None, id="Bearer without a key"),
        pytest.param(None, "k", None, id="no scheme"),
        pytest.param(None, "Token k", None, id="another scheme"),
        pytest.param("k,k", None, "k,k", id="X-API-Key twice, kept as one malformed key"),
        pytest.param(None, "Bearer k,Bearer k", "k,Bearer k", id="Bearer twice, kept as one malformed key"),
    ],
)
def test_one_decision_over_all_spellings(plain: str | None, authorization: str | None, expected: str | None) -> None:
    headers = {"HTTP_X_API_KEY": plain, "HTTP_AUTHORIZATION": authorization, "QUERY_STRING": "api_key=q&key=q"}
    assert credential({name: value for name, value in headers.items() if value is not None}) == expected


def key(letter: str) -> str:
    """A well-formed key, the same in each process: the tests' names have it."""
    body = f"ollama_{letter * 12}_{letter * 43}"
    return body + checksum(body)


KEY, KEY_2, LEGACY = key("A"), key("B"), "ollama_" + "0f" * 16
PLACEHOLDERS = [
    "ollama",
    "EMPTY",
    "sk-no-key-required",
    "none",
    "sk-ant-api03-x",
    "ollama_",
    "null",
    KEY[:-1],
    f"{KEY}x",
]


@pytest.mark.parametrize("key", [KEY, LEGACY])
@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_beside_a_key_is_none(key: str, placeholder: str) -> None:
    for text in (f"Bearer {placeholder}", f"Basic {basic(f'ana:{placeholder}')}", f"Basic {placeholder}", "Token x"):
        assert credential({"HTTP_X_API_KEY": key, "HTTP_AUTHORIZATION": text}) == key
    for text in (f"Bearer {key}", f"Basic {basic(f'ana:{key}')}"):
        assert credential({"HTTP_X_API_KEY": placeholder, "HTTP_AUTHORIZATION": text}) == key


@pytest.mark.parametrize(
    ("plain", "authorization"),
    [
        (KEY, f"Bearer {KEY_2}"),
        (KEY, f"Basic {basic(f'ana:{KEY_2}')}"),
        (KEY, f"Bearer {LEGACY}"),
        (f"{KEY},{KEY_2}", f"Bearer {KEY}"),
        (KEY, f"Bearer ollama,Bearer {KEY_2}"),
    ],
)
def test_two_keys_that_differ_are_refused(plain: str, authorization: str) -> None:
    with pytest.raises(TwoCredentialsError):
        credential({"HTTP_X_API_KEY": plain, "HTTP_AUTHORIZATION": authorization})


@pytest.mark.parametrize("placeholder", PLACEHOLDERS)
def test_a_placeholder_alone_is_a_credential(placeholder: str) -> None:
    assert credential({"HTTP_AUTHORIZATION": f"Bearer {placeholder}"}) == placeholder


@pytest.mark.parametrize(
    "authorization",
    ["Bearer other", f"Basic {basic('k:other')}", "Basic k:k", "Bearer K", "Bearer k k", "Bearer k,Bearer k"],
)
def test_two_that_differ_are_refused(authorization: str) -> None:
    with pytest.raises(TwoCredentialsError):
        credential({"HTTP_X_API_KEY": "k", "HTTP_AUTHORIZATION": authorization})
