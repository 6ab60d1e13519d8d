"""Which context window a request gets, and what is said where its prompt does not fit."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_client import StubProcess
from gateway.context_window import WindowRule, parse, written
from proxy.context_window import Windows, granted, has_more, overflow, rule_for, texts_in, window_of
from proxy.names import readings
from proxy.window_table import own_windows, parameter_in, windows_of
from tests.dialects.front import BODIES, House, Keyed, error_of, name_of, opened, saying
from tests.harness import wait_until

CHANGED, WARNED = "x-gateway-changed", "x-gateway-warning"
NATIVE = ["/api/generate", "/api/chat", "/api/embed", "/api/embeddings", "/api/v1/generate", "/api/v1/chat"]
ASKING = [path for path in BODIES if "embed" not in path and path != "/api/show"]
# About so many tokens a word, as estimated and as the stub counts.
WORDS = "lorem ipsum dolor amet "


def sent(house: House) -> dict[str, Any]:
    """The one body that reached the stub on a client's behalf."""
    own = ("GET /api/ps", "POST /api/show")
    (request,) = (request for request in house.reached() if name_of(request) not in own)
    body: dict[str, Any] = request.json()
    return body


def named(path: str, model: str) -> str:
    """A model of the kind that a path takes."""
    return model.replace("stub", "stub-embed") if "embed" in path else model


# Rules


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ()),
        ("*=8192", (WindowRule("*", 8192, 8192),)),
        ("llama3=32768!", (WindowRule("llama3", 32768, forced=True),)),
        ("qwen3:*=16384..32768", (WindowRule("qwen3:*", 16384, 32768),)),
        ("me/*=..32768", (WindowRule("me/*", None, 32768),)),
        ("a=16384..", (WindowRule("a", 16384, None),)),
        (" *=1 ,\n b=2\t", (WindowRule("b", 2, 2), WindowRule("*", 1, 1))),
    ],
)
def test_rules_are_read_and_written(text: str, rules: tuple[WindowRule, ...]) -> None:
    assert parse(text) == rules
    assert parse(",".join(map(str, rules))) == rules
    assert parse(written(text)) == rules


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*",
            "8192",
            "*=",
            "*=!",
            "*=..",
            "*=x",
            "*=8k",
            "*=0",
            "*=-1",
            "*=9..8",
            "*=1!!",
            "*=1..2!",
            "=1",
            "*=1,*=2",
        ),
        *(
            "a b=1",
            "*=99999999999",
            "a=1;b=2",
            "MISTRAL=1,mistral=2",
            ",".join(f"m{number}=1" for number in range(101)),
        ),
    ],
)
def test_what_is_no_rule_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"rule|window|default"):
        parse(text)


def test_the_closest_rule_counts_in_whatever_order_they_stand() -> None:
    for text in ("*=1,qwen3:*=2,qwen3:8b=3", "qwen3:8b=3,qwen3:*=2,*=1"):
        found = [rule_for(readings(name)[0], parse(text)) for name in ("qwen3:8b", "qwen3:4b", "Library/QWEN3", "x")]
        assert [rule.default for rule in found if rule] == [3, 2, 2, 1]
    assert rule_for(readings("x")[0], (), parse("y=1")) is None
    # The first set that has one counts: a key's own come before the settings'.
    assert rule_for(readings("x")[0], parse("*=5"), parse("x=6")) == WindowRule("*", 5, 5)


LOADED, COLD = Windows(loaded=4096, trained=131072), Windows(trained=131072)


@pytest.mark.parametrize(
    ("rule", "windows", "asked", "send"),
    [
        # Without a rule, whatever is asked, no request reloads the model: Ollama does so for a smaller window, too.
        ("", LOADED, 4096, 4096),
        ("", LOADED, 8192, 4096),
        ("", LOADED, 2048, 4096),
        ("", LOADED, "8192", None),
        ("", LOADED, 0, None),
        ("", LOADED, -1, None),
        ("", LOADED, True, None),
        ("", LOADED, None, None),
        ("", COLD, 8192, None),
        ("", Windows(), 8192, None),
        ("", Windows(trained=2048), 8192, 2048),
        ("", Windows(trained=2048), 512, 2048),
        ("", Windows(parameter=16384, trained=131072), 8192, 16384),
        ("", Windows(parameter=16384, trained=131072), 32768, 16384),
        ("", Windows(parameter=16384, trained=8192), 32768, 8192),
        ("", Windows(loaded=8192, parameter=16384), 32768, 8192),
        # With one, what the operator says.
        ("*=8192", LOADED, 16384, 8192),
        ("*=8192", LOADED, 1024, 1024),
        ("*=8192", LOADED, "nonsense", 8192),
        ("*=8192..16384", COLD, 12000, 12000),
        ("*=8192..16384", COLD, 99999, 16384),
        ("*=8192..", COLD, 99999, 99999),
        ("*=..16384", COLD, 99999, 16384),
        ("*=..16384", COLD, 0, None),
        ("*=8192!", LOADED, 1024, 8192),
        ("*=8192!", LOADED, 99999, 8192),
    ],
)
def test_a_window_is_granted(rule: str, windows: Windows, asked: Any, send: int | None) -> None:
    found = granted(next(iter(parse(rule)), None), windows, asked, is_set=True)
    assert found.send == send
    said = () if send == asked and asked is not True else (f"options.num_ctx={send}",)
    assert found.changed == (("options.num_ctx dropped",) if send is None else said)


@pytest.mark.parametrize(
    ("rule", "send"), [("", None), ("*=8192", 8192), ("*=8192..16384", 8192), ("*=..16384", None), ("*=8192!", 8192)]
)
def test_who_asks_for_none_gets_the_default_of_the_rule(rule: str, send: int | None) -> None:
    found = granted(next(iter(parse(rule)), None), LOADED, None, is_set=False)
    assert found == (send, () if send is None else (f"options.num_ctx={send}",)) or (
        (found.send, found.changed) == (send, () if send is None else (f"options.num_ctx={send}",))
    )


def test_the_window_that_a_prompt_gets() -> None:
    assert window_of(8192, Windows(trained=4096)) == 4096
    assert window_of(None, LOADED) == 4096
    assert window_of(None, COLD) is None
    assert window_of(None, Windows(loaded=4096, parameter=8192)) == 8192
    # A window that somebody is known to have asked for is not what another request gets.
    assert window_of(None, Windows(loaded=512, trained=131072, is_usual=False)) is None


# What Ollama says


def test_what_ollama_says_of_windows_is_read() -> None:
    info = {"general.architecture": "llama", "llama.context_length": 8192}
    found = own_windows({"model_info": info, "parameters": 'stop "a"\nnum_ctx                        4096\n'})
    assert found == Windows(parameter=4096, trained=8192)
    for answer in ([], {}, {"model_info": None, "parameters": 5}, {"model_info": {"general.architecture": 1}}):
        assert own_windows(answer) == Windows()
    assert parameter_in('stop "num_ctx 5"\nnum_ctx x\nnum_ctx 0') is None
    listed = [
        {"name": "Mistral:latest", "context_length": 4096},
        {"name": "me/x", "context_length": 5},
        {"name": "", "context_length": 5},
        {"name": "old"},
        {"name": "odd", "context_length": "5"},
        7,
    ]
    assert windows_of(listed) == [("mistral:latest", 4096), ("me/x:latest", 5)]


# A prompt that is too large


@pytest.mark.parametrize(
    ("text", "certain"),
    [
        (WORDS * 1000, True),
        ("xy" * 9_000, True),
        ("漢字仮名" * 5_000, True),
        (WORDS * 250, False),
        (" " * 100_000, False),
        ("=" * 100_000, False),
        ("-" * 70_000 + "\n" * 30_000, False),
        ("x" * 100_000, False),
        ((WORDS * 10 + " " * 100_000) * 3, False),
        ((WORDS * 1000 + "=" * 10_000) * 3, True),
    ],
)
def test_a_prompt_is_only_refused_where_no_tokenizer_makes_it_fit(text: str, certain: bool) -> None:
    found = overflow([text], len(text) // 4, 1024)
    assert found is not None
    assert found.is_certain is certain


def test_a_prompt_that_fits_is_no_overflow() -> None:
    assert overflow([WORDS], 1024, 1024) is None


@given(st.lists(st.text(max_size=200), max_size=8), st.integers(0, 300))
def test_no_more_is_looked_at_than_decides(texts: list[str], enough: int) -> None:
    count = len("".join(texts))
    assert has_more(texts, enough) <= (count > enough)
    assert not has_more(texts, count)


def test_the_largest_text_is_refused_and_nobody_waits_for_a_look_at_all_of_it() -> None:
    assert has_more([WORDS * 1_500_000], 2**20)
    assert not has_more((" " * 4096 for _ in itertools.count()), 2**20)


def test_looking_at_a_large_text_ends_early() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield WORDS * 10

    assert has_more(endless(), 10_000)


def test_no_media_and_no_file_is_text() -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "user", "content": [{"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": "c"}}]},
        {
            "role": "user",
            "content": [{"type": "file", "file": {"file_data": "d"}}, {"type": "input_file", "data": "e"}],
        },
        {"role": "tool", "content": [{"type": "tool_result", "content": [{"type": "text", "text": "f"}]}]},
        {"type": "function_call_output", "output": "g"},
        {"role": "user", "content": "h", "images": ["i"], "thinking": "j"},
    ]
    assert list(texts_in(messages)) == ["a", "b", "f", "g", "h"]


# Through the front door


@pytest.mark.parametrize("path", NATIVE)
def test_no_request_reloads_a_model(house: House, path: str) -> None:
    """Whatever it asks for, a model that is loaded stays as it is."""
    model = named(path, "stub-num16384-trained131072")
    short = f"{model}:latest"
    house.stub.load(short, 16384)
    for asked in (16384, 8192, 65536, 1, 0, -1, "16384"):
        answer = house.ask(path, {**BODIES[path], "model": model, "options": {"num_ctx": asked, "seed": 1}})
        assert answer.status == 200
        *_, request = (request for request in house.reached() if request.method == "POST")
        took = isinstance(asked, int) and asked > 0
        # What is no window is dropped, and Ollama takes its default for it, as for a request that asks for none.
        assert request.json()["options"] == {"seed": 1, **({"num_ctx": 16384} if took else {})}
        said = "options.num_ctx=16384" if took else "options.num_ctx dropped"
        assert answer.headers.get(CHANGED) == (None if asked == 16384 else said)
    assert house.stub.windows()[short] == 16384
    assert house.stub.loads()[short] == 1


@pytest.mark.parametrize(
    ("model", "asked", "window"),
    [
        ("stub-a", 8192, 4096),  # it was made for 4096
        ("stub-b", 1024, 4096),
        ("stub-num8192-trained32768", 32768, 8192),  # its Modelfile says 8192
        ("stub-num8192-trained32768-c", 2048, 8192),
        ("stub-trained32768", 16384, None),  # what Ollama gives by itself is not known
    ],
)
def test_a_model_that_is_not_loaded_gets_its_own_window(
    house: House, model: str, asked: int, window: int | None
) -> None:
    answer = house.ask("/api/chat", {**BODIES["/api/chat"], "model": model, "options": {"num_ctx": asked}})
    assert sent(house)["options"] == ({"num_ctx": window} if window else {})
    assert answer.headers[CHANGED] == (f"options.num_ctx={window}" if window else "options.num_ctx dropped")
    # Nor does one that asks for none reload it afterwards.
    house.ask("/api/chat", {**BODIES["/api/chat"], "model": model})
    house.ask("/v1/chat/completions", {**BODIES["/v1/chat/completions"], "model": model})
    house.ask("/api/chat", {**BODIES["/api/chat"], "model": model, "options": {"num_ctx": asked}})
    assert house.stub.loads()[f"{model}:latest"] == 1


def test_a_model_that_was_just_loaded_is_known_to_be(house: House) -> None:
    model = "stub-trained65536"
    house.ask("/api/chat", {**BODIES["/api/chat"], "model": model, "options": {"num_ctx": 9000}}, who="manager")
    answer = house.ask("/api/chat", {**BODIES["/api/chat"], "model": model, "options": {"num_ctx": 20000}})
    assert answer.headers[CHANGED] == "options.num_ctx=9000"
    assert house.stub.loads()[f"{model}:latest"] == 1


def test_a_key_that_manages_sets_any_window(house: House) -> None:
    body = {**BODIES["/api/chat"], "options": {"num_ctx": 12345}}
    answer = house.ask("/api/chat", body, who="manager")
    assert CHANGED not in answer.headers
    assert sent(house)["options"] == {"num_ctx": 12345}


@pytest.mark.parametrize("knobs", ["hang=1", "status=500", "malformed=json"])
def test_an_ollama_that_does_not_tell_delays_a_request_a_little_and_costs_it_its_window(
    stub: StubProcess, keys: Keyed, knobs: str
) -> None:
    with opened(stub, keys) as house:
        stub.behave("/api/ps", knobs)
        stub.behave("/api/show", knobs)
        body = {**BODIES["/api/chat"], "options": {"num_ctx": 4096}}
        began = monotonic()
        for _ in range(5):
            answer = house.ask("/api/chat", body)
            assert (answer.status, answer.headers[CHANGED]) == (200, "options.num_ctx dropped")
        assert monotonic() - began < 5  # once, a second for each question
        stub.behave("/api/ps", "")
        stub.behave("/api/show", "")
        wait_until(lambda: CHANGED not in house.ask("/api/chat", body).headers, 20)


def test_the_windows_of_models_are_not_asked_for_with_every_request(house: House) -> None:
    long = saying("/api/chat", WORDS * 100)
    for _ in range(30):
        house.ask("/api/chat", long)
    asked = [name_of(request) for request in house.stub.requests()]
    assert asked.count("GET /api/ps") <= 2
    assert "POST /api/show" not in asked


def test_a_key_makes_the_gateway_ask_about_a_bounded_number_of_models(stub: StubProcess, keys: Keyed) -> None:
    with opened(stub, keys, DEFAULT_REQUESTS_PER_MINUTE=1) as house:
        for number in range(400):
            body = {"model": f"missing-{number}", "prompt": "x", "options": {"num_ctx": 8192}}
            house.ask("/api/generate", body, who="stubs" if number % 2 else "user")
        shown = [request.json()["model"] for request in stub.requests("/api/show")]
        assert not any("missing-1" in model for model in shown if model == "missing-1")  # a key's own models alone
        assert len(shown) <= 250


# Rules of the operator


@pytest.fixture(scope="module")
def ruled(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A gateway with a rule of each kind."""
    rules = "*=8192,stub-wide:*=2048..16384,stub-forced-trained65536=32768!,stub-open=..16384"
    with opened(stub, keys, CONTEXT_WINDOW=rules, MAX_NUM_CTX=1000) as made:
        yield made


@pytest.mark.parametrize(
    ("model", "asked", "window"),
    [
        ("stub", None, 8192),
        ("stub", 2048, 2048),
        ("stub", 9000, 8192),
        ("stub-wide:7b", None, 2048),
        ("stub-wide:7b", 12000, 12000),
        ("stub-wide:8b", 99999, 16384),
        ("stub-forced-trained65536", None, 32768),
        ("stub-forced-trained65536", 4096, 32768),
        ("stub-open", None, None),
        ("stub-open", 99999, 16384),
    ],
)
@pytest.mark.parametrize("path", NATIVE[:2])
def test_the_operators_rule_comes_first(
    ruled: House, path: str, model: str, asked: int | None, window: int | None
) -> None:
    options = {} if asked is None else {"options": {"num_ctx": asked}}
    answer = ruled.ask(path, {**BODIES[path], **options, "model": model})
    assert sent(ruled).get("options", {}).get("num_ctx") == window
    assert answer.headers.get(CHANGED) == (None if window == asked else f"options.num_ctx={window}")


def test_a_rule_is_no_matter_of_a_key_that_manages(ruled: House) -> None:
    ruled.ask("/api/chat", {**BODIES["/api/chat"], "options": {"num_ctx": 99999}}, who="manager")
    assert sent(ruled)["options"]["num_ctx"] == 99999


# Saying that a prompt is too large


SMALL = "stub-num1000-trained131072"


def over(path: str, times: float, **fields: Any) -> dict[str, Any]:
    """A body with a prompt of so many windows of 1000 tokens, as estimated."""
    size = int(4000 * times)
    text = (WORDS * (size // len(WORDS) + 1))[:size]
    return saying(path, text, model=SMALL, **fields)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ASKING)
def test_a_prompt_that_can_not_fit_is_refused_in_the_words_of_its_dialect(
    house: House, path: str, stream: bool
) -> None:
    house.stub.load(f"{SMALL}:latest", 1000)
    answer = house.ask(path, over(path, 3, stream=stream))
    assert answer.status == 400
    kind, text = error_of(path, answer)
    error = answer.json()["error"]
    if path == "/v1/messages":
        assert kind == "invalid_request_error"
        assert re.fullmatch(r"prompt is too long: \d+ tokens > 1000 maximum", text)
    elif path.startswith("/v1/") or path.endswith("chat/completions"):
        assert kind == "invalid_request_error"
        assert error["code"] == "context_length_exceeded"
        assert text.startswith("This model's maximum context length is 1000 tokens.")
    elif path.startswith("/api/v1/"):
        assert kind == "context_length_exceeded"
    else:
        assert text.startswith("the input length exceeds the context length")
    assert answer.headers["x-should-retry"] == "false"
    assert not [request for request in house.reached() if request.method == "POST"]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ASKING)
def test_a_prompt_that_may_not_fit_is_served_with_a_warning(house: House, path: str, stream: bool) -> None:
    house.stub.load(f"{SMALL}:latest", 1000)
    answer = house.ask(path, over(path, 1.5, stream=stream))
    assert answer.status == 200
    said = r"the prompt has about 1[45]\d\d tokens and the context window is 1000: Ollama drops what does not fit"
    assert re.fullmatch(said, answer.headers[WARNED])
    assert house.line(answer)["warning"] == "context_length"
    small = house.ask(path, over(path, 0.9, stream=stream))
    assert WARNED not in small.headers
    assert house.line(small)["warning"] is None


def test_a_warning_is_in_the_record(house: House) -> None:
    house.stub.load(f"{SMALL}:latest", 1000)
    path = "/api/chat"
    request_id = house.ask(path, over(path, 1.5)).headers["x-request-id"]
    journal = b"".join(file.read_bytes() for file in (house.server.folder / "journal").glob("*.jsonl"))
    lines = [json.loads(line) for line in journal.splitlines() if request_id.encode() in line]
    assert [line["warning"] for line in lines if line["event"] == "ended"] == ["context_length"]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/chat", {"truncate": True}),
        ("/api/generate", {"truncate": True}),
        ("/v1/responses", {"truncation": "auto"}),
    ],
)
def test_who_wants_a_prompt_truncated_is_only_warned(house: House, path: str, fields: dict[str, Any]) -> None:
    house.stub.load(f"{SMALL}:latest", 1000)
    assert house.ask(path, over(path, 5, **fields)).status == 200


def test_who_wants_no_truncation_hears_ollama_itself(house: House) -> None:
    house.stub.load(f"{SMALL}:latest", 1000)
    answer = house.ask("/api/chat", over("/api/chat", 9, truncate=False))
    assert len([request for request in house.reached() if request.target == "/api/chat"]) == 1
    assert WARNED not in answer.headers


@pytest.mark.parametrize("path", ["/api/embed", "/api/embeddings", "/v1/embeddings", "/api/v1/embeddings"])
def test_a_text_to_embed_is_truncated_with_a_warning(house: House, path: str) -> None:
    house.stub.load("stub-embed-num1000-trained131072:latest", 1000)
    body = {**over(path, 5), "model": "stub-embed-num1000-trained131072"}
    assert house.ask(path, body).status == 200
    if path != "/api/embeddings":
        # Each text has the window for itself.
        many = {**body, "input": ["lorem ipsum " * 200] * 3}
        assert WARNED not in house.ask(path, many).headers


def test_images_do_not_count(house: House) -> None:
    house.stub.load(f"{SMALL}:latest", 1000)
    image = "data:image/png;base64," + "iVBORw0KGgo" * 10_000
    content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": image}}]
    body = {"model": SMALL, "messages": [{"role": "user", "content": content}]}
    answer = house.ask("/v1/chat/completions", body)
    assert (answer.status, answer.headers.get(WARNED)) == (200, None)
    body = {"model": SMALL, "prompt": "x", "images": ["iVBORw0KGgo" * 10_000]}
    assert house.ask("/api/generate", {**body, "images": body["images"] * 9}).status == 200
    assert WARNED not in house.ask("/api/generate", body).headers


def test_a_prompt_larger_than_a_model_was_made_for_is_refused_unloaded_too(house: House) -> None:
    answer = house.ask("/api/chat", saying("/api/chat", WORDS * 3000, model="stub-cold"))
    assert answer.status == 400
    assert "4096 fit" in answer.json()["error"]


def test_a_model_that_somebody_loaded_smaller_refuses_nobody_elses_prompt(house: House) -> None:
    """Ollama loads it with its own default for them, whatever that is."""
    model = "stub-trained131072-d"
    house.ask("/api/chat", {**BODIES["/api/chat"], "model": model, "options": {"num_ctx": 256}}, who="manager")
    for path in ("/api/chat", "/v1/chat/completions"):
        house.stub.load(f"{model}:latest", 256)
        assert house.ask(path, saying(path, WORDS * 200, model=model)).status == 200


def test_tokens_of_a_prompt_too_large_are_counted_all_the_same(house: House) -> None:
    body = {"model": "stub", "messages": [{"role": "user", "content": WORDS * 20_000}]}
    answer = house.ask("/v1/messages/count_tokens", body)
    assert (answer.status, answer.headers.get(WARNED)) == (200, None)


def test_a_browser_may_read_the_warning(house: House) -> None:
    answer = house.ask("/api/chat", BODIES["/api/chat"], headers={"Origin": "https://chat.example.org"})
    assert WARNED in answer.headers["access-control-expose-headers"]
