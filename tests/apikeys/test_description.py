"""A key in a sentence, and as data."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from apikeys.description import described, sentence
from apikeys.models import Key


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "May use every model, from anywhere."),
        ({"models": "mistral"}, "May use mistral, from anywhere."),
        (
            {"models": "a,b,c", "scopes": "keys,inference"},
            "May use a, b and c and issue and change keys, from anywhere.",
        ),
        ({"scopes": "manage"}, "May fetch, make and delete models, from anywhere."),
        (
            {"routes": "openai", "addresses": "10.0.0.0/8,::1", "body_limit": 5000},
            "May use every model, through openai alone, from 10.0.0.0/8 and ::1 alone, in bodies of up to 5,000 bytes.",
        ),
        (
            {"expires": datetime(2030, 1, 2, 3, 4, tzinfo=UTC)},
            "May use every model, from anywhere, until 2030-01-02 03:04 UTC.",
        ),
    ],
)
def test_a_sentence_says_what_a_key_may_do(fields: dict[str, object], said: str) -> None:
    assert sentence(Key(label="x", **fields)) == said


@pytest.mark.django_db
def test_data_holds_no_digest() -> None:
    key, secret = Key.objects.issue(label="Ana", limits={"concurrency": 1})
    data = described(key)
    assert data["limits"] == {"concurrency": 1}
    assert key.digest not in str(data)
    assert secret not in str(data)
