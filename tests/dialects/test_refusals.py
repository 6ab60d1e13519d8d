"""What becomes of Ollama's own refusals."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.refusals import sentence_in, upstream_refusal, words

RUNNER = json.dumps({"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":"model \'x\' not found"}', "model 'x' not found"),
        (b'{"error":{"message":"no","type":"api_error","param":null,"code":null}}\n', "no"),
        (b'{"type":"error","error":{"type":"api_error","message":"no"},"request_id":"req_0a"}', "no"),
        (b'{"StatusCode":429,"Status":"429 Too Many Requests","error":"slow down"}', "slow down"),
        (b'{"error":"unauthorized","signin_url":"https://ollama.com/connect"}', "unauthorized"),
        (json.dumps({"error": RUNNER}).encode(), "too long"),
        (json.dumps({"error": {"message": RUNNER}}).encode(), "too long"),
        (json.dumps({"error": json.dumps({"error": RUNNER})}).encode(), "too long"),
        (RUNNER.encode(), "too long"),
        (b'{"message":"no"}', "no"),
        (b"404 page not found", "404 page not found"),
        (b"  503 nothing here\n", "503 nothing here"),
        (b'"quoted"', "quoted"),
        (b'{"error":"[init] failed"}', "[init] failed"),
        (b'{"error":"42"}', "42"),
        (b"<html><h1>Bad gateway</h1></html>", ""),
        (b"", ""),
        (b"{}", ""),
        (b"[]", ""),
        (b'{"error":null}', ""),
        (b'{"error":["x"]}', ""),
        (b'{"error":{"error":{"error":{}}}}', ""),
        (b'{"error":', '{"error":'),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_sentence_is_found_in_every_shape(body: bytes, text: str) -> None:
    assert words(body) == text


@given(st.binary(max_size=200))
def test_no_body_breaks_it(body: bytes) -> None:
    assert len(words(body)) <= 2000


@given(
    st.recursive(
        st.none() | st.text(max_size=9) | st.integers(),
        lambda inner: st.dictionaries(st.sampled_from(["error", "message"]), inner),
    )
)
def test_no_error_within_a_stream_breaks_it(error: object) -> None:
    assert isinstance(sentence_in(error), str)


def test_a_sentence_has_an_end() -> None:
    assert len(words(b"x" * 10_000)) == 2000


@pytest.mark.parametrize(
    ("status", "body", "becomes", "kind"),
    [
        (400, b'{"error":"bad"}', 400, "bad_request"),
        (404, b'{"error":"model \'m\' not found"}', 404, "model_not_found"),
        (404, b"404 page not found", 502, "upstream_refused"),
        (405, b"405 method not allowed", 405, "method_not_allowed"),
        (413, b"", 413, "payload_too_large"),
        (429, b'{"error":"slow"}', 429, "rate_limited"),
        (499, b'{"error":"request canceled"}', 499, "error"),
        (500, b'{"error":"crashed"}', 500, "internal_error"),
        (501, b'{"error":"no embeddings"}', 501, "error"),
        (502, b'{"error":"cloud unreachable"}', 502, "bad_gateway"),
        (503, b'{"error":"server busy"}', 503, "unavailable"),
        (401, b'{"error":"unauthorized","signin_url":"https://x"}', 502, "upstream_refused"),
        (401, b"", 502, "upstream_refused"),
        (403, b"", 502, "upstream_refused"),
        (403, b"<html>Forbidden</html>", 502, "upstream_refused"),
        (403, b'{"error":"ollama cloud is disabled"}', 502, "upstream_refused"),
        (301, b"", 502, "upstream_refused"),
        (307, b"", 502, "upstream_refused"),
        (999, b"", 502, "bad_gateway"),
    ],
)
def test_a_status_passes_where_it_is_honest(status: int, body: bytes, becomes: int, kind: str) -> None:
    refusal = upstream_refusal(status, body, "m")
    assert (refusal.status_code, refusal.kind) == (becomes, kind)
    assert refusal.message
    assert "<" not in refusal.message
    assert "https://x" not in refusal.message


def test_ollamas_words_pass_as_they_are() -> None:
    busy = "server busy, please try again.  maximum pending requests exceeded"
    assert upstream_refusal(503, json.dumps({"error": busy}).encode(), "m").message == busy


def test_an_operator_hears_what_to_correct() -> None:
    assert "OLLAMA_ORIGINS" in upstream_refusal(403, b"", "m").message
    assert "OLLAMA_API_KEY" in upstream_refusal(401, b"", "m").message
    assert "OLLAMA_URL" in upstream_refusal(302, b"", "m").message


def test_a_file_that_is_not_there_is_a_plain_404() -> None:
    assert upstream_refusal(404, b"").status_code == 404


def test_what_is_behind_an_alias_is_not_told() -> None:
    body = b'{"error":"model \'secret:7b\' not found"}'
    refusal = upstream_refusal(404, body, "gpt-4o", "secret:7b")
    assert refusal.message == "model 'gpt-4o' not found"


@pytest.mark.parametrize("status", [429, 503])
def test_what_will_pass_says_when(status: int) -> None:
    assert upstream_refusal(status, b"", "m").headers == {"Retry-After": "1"}
