"""What the log and the record may say of an error: enough to find the fault, nothing of a prompt or an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.error_reason import MAX_REASON, hide_quoted, product, reason_of, upstream_reason
from proxy.exceptions import BadBody, ModelNotFound, UpstreamRefusal
from proxy.policy import read
from proxy.shapes import CHAT

SECRET = "peculiarprompt"
# As Ollama and its runners write them.
ERRORS = [
    "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error",
    "model requires more system memory (24.5 GiB) than is available (7.6 GiB)",
    "server busy, please try again.  maximum pending requests exceeded",
    "an error was encountered while running the model: unexpected EOF",
    "the input length exceeds the context length",
    "llama runner process has terminated: exit status 2",
    "request (9000 tokens) exceeds the available context size (4096 tokens)",
    "timed out waiting for llama runner to start",
]


@pytest.mark.parametrize("text", ERRORS)
def test_ollamas_own_errors_are_kept_word_for_word(text: str) -> None:
    assert upstream_reason(text) == " ".join(text.split())


def test_a_models_name_is_kept() -> None:
    text = 'registry.ollama.ai/library/tiny does not support tools: model "tiny:1b" not found'
    assert 'model "tiny:1b" not found' in upstream_reason(text, ("tiny:1b",))


@pytest.mark.parametrize(
    "text",
    [
        f'error parsing tool call: raw=\'{{"a": "it\'s {SECRET}"}}\', err=unexpected end of JSON input',
        f"template: :1:2: executing <{SECRET}> at <.Messages>: {SECRET}",
        f'invalid input "{SECRET}"',
        f"cannot read {SECRET.upper()} here",
        f"bad: `{SECRET}",
        f'{{"error": "{SECRET}"}}',
        f"unterminated 'quote {SECRET}",
    ],
)
def test_what_an_error_quotes_is_hidden(text: str) -> None:
    for sent in (None, f'{{"prompt":"{SECRET}"}}'.encode()):
        assert SECRET not in upstream_reason(text, (), sent).lower()


def test_a_word_that_was_not_sent_is_kept_where_the_request_is_known() -> None:
    text = "flux capacitor overheated at 88 mph"
    assert upstream_reason(text, (), b'{"prompt": "mph"}') == "flux capacitor overheated at 88 …"
    assert "capacitor" not in upstream_reason(text)


@given(st.text(max_size=3000), st.sampled_from([None, b"{}"]))
def test_a_reason_is_one_bounded_printable_line(text: str, sent: bytes | None) -> None:
    reason = upstream_reason(text, (), sent)
    assert len(reason) <= MAX_REASON
    assert reason.isprintable()


@given(
    before=st.text("abc '\"", max_size=20),
    inside=st.text("xyz'\" ", max_size=20),
    quote=st.sampled_from("'\"`"),
)
def test_nothing_of_a_quoted_passage_is_shown(before: str, inside: str, quote: str) -> None:
    assert not {"x", "y", "z"} & set(hide_quoted(f"{before} {quote}{inside}{quote}", ()))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model": "m", "messages": 1}', "'messages' must be an array."),
        (b'{"messages": [1]}', "messages[0] must be an object with 'role' and 'content'."),
        (f'{{"{SECRET}": 1, "{SECRET}": 2}}'.encode(), "stands twice in one object"),
        (f'{{"messages": "{SECRET}'.encode(), "The body is not valid JSON"),
        (f'{{"messages": [], "model": {SECRET}}}'.encode(), "The body is not valid JSON"),
    ],
)
def test_a_bad_body_is_told_without_quoting_it(body: bytes, reason: str) -> None:
    with pytest.raises(BadBody) as refused:
        read(CHAT, body)
    said = reason_of(refused.value)
    assert reason in said
    assert SECRET not in said


def test_a_model_that_is_not_there_is_named() -> None:
    assert reason_of(ModelNotFound("mistrall")) == "model 'mistrall' not found"


def test_an_upstreams_error_within_a_stream_is_scrubbed() -> None:
    refusal = UpstreamRefusal(502, f"unexpected {SECRET} in answer", kind="upstream_failed")
    assert reason_of(refusal) == "unexpected … in answer"


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        ("ollama-python/0.4.7 (x86_64 linux) Python/3.12.3", "ollama-python/0.4.7"),
        ("OpenAI/Python 1.40.0", "OpenAI/Python/1.40.0"),
        ("AsyncOpenAI/Python 1.99.9", "AsyncOpenAI/Python/1.99.9"),
        ("claude-cli/1.0.60 (external, cli)", "claude-cli/1.0.60"),
        ("codex_cli_rs/0.46.0 (Ubuntu 24.4.0; x86_64)", "codex_cli_rs/0.46.0"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("node", "node"),
        ("", ""),
        ("<script>alert(1)</script>", ""),
        ("ollama_" + "a" * 16 + "_" + "B" * 43, ""),
        ("\x00evil/1", ""),
    ],
)
def test_a_client_library_is_the_first_product_of_its_user_agent(user_agent: str, expected: str) -> None:
    assert product(user_agent) == expected


@given(st.text(max_size=300))
def test_a_client_library_is_a_short_plain_word(user_agent: str) -> None:
    assert len(product(user_agent)) <= 72
    assert product(user_agent).isascii()
    assert " " not in product(user_agent)
