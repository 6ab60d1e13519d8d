"""What Ollama's requests become for llama.cpp."""

from __future__ import annotations

import pytest

from engine import native
from engine.errors import Refusal


def test_a_conversation_is_rendered_in_the_models_format() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "User", "content": "Hi"}]
    assert native.chat_prompt(messages) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_an_assistants_last_message_is_continued() -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]
    assert native.chat_prompt(messages).endswith("<|im_start|>assistant\nHel")


def test_a_raw_prompt_stays_as_it_is() -> None:
    assert native.generate_prompt({"prompt": "Once", "raw": True}) == "Once"


def test_a_prompt_is_put_into_a_conversation_with_its_system_text() -> None:
    assert native.generate_prompt({"prompt": "Hi", "system": "Be brief."}) == native.chat_prompt(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    )


def test_options_are_translated_and_unknown_or_absent_ones_left_out() -> None:
    options = {"temperature": 1, "num_predict": 7.9, "stop": ["."], "seed": None, "num_ctx": 10, "surprise": "x"}
    assert native.sampling(options) == {"temperature": 1.0, "n_predict": 7, "stop": ["."]}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"temperature": "hot"}, 'option "temperature" must be of type float32'),
        ({"temperature": float("inf")}, 'option "temperature" must be of type float32'),
        ({"num_predict": True}, 'option "num_predict" must be of type integer'),
        ({"stop": "."}, 'option "stop" must be of type array'),
        ({"stop": [1]}, 'option "stop" must be of type array'),
    ],
)
def test_an_option_of_the_wrong_type_is_refused_as_ollama_does(options: native.Body, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        native.sampling(options)
    assert (refused.value.status, refused.value.text) == (500, text)


@pytest.mark.parametrize("value", [None, ""])
def test_no_format_is_no_constraint(value: object) -> None:
    assert native.shape(value) == {}


def test_a_schema_is_handed_on() -> None:
    assert native.shape({"type": "integer"}) == {"json_schema": {"type": "integer", **native.TIGHT}}


@pytest.mark.parametrize("value", ["yaml", 1, ["json"]])
def test_another_format_is_refused(value: object) -> None:
    with pytest.raises(Refusal) as refused:
        native.shape(value)
    assert refused.value.status == 500


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"think": True}, '"smollm2:135m" does not support thinking'),
        ({"think": "high"}, '"smollm2:135m" does not support thinking'),
        ({"think": "hard"}, 'think must be a boolean or one of "low", "medium", "high", "max"'),
        ({"tools": [{}]}, "registry.ollama.ai/library/smollm2:135m does not support tools"),
    ],
)
def test_what_the_model_lacks_is_refused(body: native.Body, text: str) -> None:
    with pytest.raises(Refusal) as refused:
        native.check_abilities(body)
    assert (refused.value.status, refused.value.text) == (400, text)


@pytest.mark.parametrize("body", [{}, {"think": False}, {"tools": []}, {"think": None}])
def test_what_asks_for_nothing_special_passes(body: native.Body) -> None:
    native.check_abilities(body)


@pytest.mark.parametrize("value", [0, 0.0, "0", "0s", "-0", "0h0m"])
def test_a_keep_alive_of_zero_unloads(value: object) -> None:
    assert native.unloads(value)


@pytest.mark.parametrize("value", [None, 1, -1, 0.5, "5m", "-1m", "1h30m", "10s"])
def test_another_keep_alive_does_not(value: object) -> None:
    assert not native.unloads(value)


@pytest.mark.parametrize("value", ["300", "soon", "", True, [], {}])
def test_a_keep_alive_that_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(Refusal) as refused:
        native.unloads(value)
    assert refused.value.status == 400
