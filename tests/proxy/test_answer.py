"""The lane's whole answers are Django's responses in all but how they are made."""

from __future__ import annotations

import pytest
from django.http import HttpResponse

from proxy.answer import WholeAnswer


@pytest.mark.parametrize(("content", "kind"), [(b"{}", "application/json"), (b"", "text/plain")])
def test_it_is_what_django_would_have_made(content: bytes, kind: str) -> None:
    ours, theirs = WholeAnswer(content, kind), HttpResponse(content, content_type=kind)
    assert vars(ours).keys() == vars(theirs).keys()
    assert ours.serialize() == theirs.serialize()
    assert (ours.status_code, ours.reason_phrase, ours.charset) == (200, "OK", theirs.charset)
    ours.headers["X-More"] = theirs.headers["X-More"] = "more"
    ours.content = theirs.content = b"other"
    assert ours.serialize() == theirs.serialize()


def test_no_two_share_what_can_be_changed() -> None:
    one, other = WholeAnswer(b"one"), WholeAnswer(b"other")
    one.headers["X-Mine"] = "1"
    one.set_cookie("mine", "1")
    assert "X-Mine" not in other.headers
    assert not other.cookies
