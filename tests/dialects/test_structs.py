"""Keys that Ollama would misread: refused where it decodes a struct, untouched where it keeps a map."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import structs
from proxy.exceptions import BadBody
from proxy.structs import Struct, fold

# The fields that Ollama knows, by kind of request, as its API has them.
KNOWN: dict[str, tuple[Struct, str]] = {
    "generate": (
        structs.GENERATE,
        (
            "model prompt suffix system template context stream raw format keep_alive images options think truncate "
            "shift logprobs top_logprobs _debug_render_only"
        ),
    ),
    "chat": (
        structs.CHAT,
        (
            "model messages stream format keep_alive tools options think truncate shift logprobs top_logprobs "
            "_debug_render_only"
        ),
    ),
    "chat message": (structs.CHAT.inner["messages"], "role content thinking images tool_calls tool_name tool_call_id"),
    "chat tool call": (structs.CHAT.inner["messages"].inner["tool_calls"], "id function"),
    "chat tool call function": (
        structs.CHAT.inner["messages"].inner["tool_calls"].inner["function"],
        "index name arguments",
    ),
    "chat tool": (structs.CHAT.inner["tools"], "type items function"),
    "chat tool function": (structs.CHAT.inner["tools"].inner["function"], "name description parameters"),
    "embed": (structs.EMBED, "model input truncate dimensions keep_alive options"),
    "embeddings": (structs.EMBEDDINGS, "model prompt keep_alive options"),
    "show": (structs.SHOW, "model name system template options verbose"),
    "pull": (structs.PULL, "model name insecure username password stream"),
    "create": (
        structs.CREATE,
        (
            "model name from files remote_host adapters draft_files template license system parameters messages "
            "renderer parser requires info quantize draft_quantize stream"
        ),
    ),
    "copy": (structs.COPY, "source destination"),
    "delete": (structs.DELETE, "model name"),
    "chat completions": (
        structs.CHAT_COMPLETIONS,
        (
            "model messages stream stream_options max_tokens seed stop temperature frequency_penalty presence_penalty "
            "top_p response_format tools reasoning reasoning_effort logprobs top_logprobs _debug_render_only"
        ),
    ),
    "chat completions stream options": (structs.CHAT_COMPLETIONS.inner["stream_options"], "include_usage"),
    "chat completions format": (structs.CHAT_COMPLETIONS.inner["response_format"], "type json_schema"),
    "chat completions schema": (structs.CHAT_COMPLETIONS.inner["response_format"].inner["json_schema"], "schema"),
    "chat completions message": (
        structs.CHAT_COMPLETIONS.inner["messages"],
        "role content reasoning tool_calls name tool_call_id",
    ),
    "completions": (
        structs.COMPLETIONS,
        (
            "model prompt suffix stream stream_options max_tokens seed stop temperature frequency_penalty "
            "presence_penalty top_p logprobs _debug_render_only"
        ),
    ),
    "openai embeddings": (structs.OPENAI_EMBEDDINGS, "model input dimensions encoding_format"),
    "responses": (
        structs.RESPONSES,
        (
            "model background conversation include input instructions max_output_tokens reasoning temperature text "
            "tool_choice tools top_logprobs top_p truncation stream"
        ),
    ),
    "responses item": (
        structs.RESPONSES.inner["input"],
        "type id role content status call_id name arguments output summary encrypted_content action",
    ),
    "responses text": (structs.RESPONSES.inner["text"], "format"),
    "responses tool": (structs.RESPONSES.inner["tools"], "type name description strict parameters tools"),
    "responses tool of a namespace": (
        structs.RESPONSES.inner["tools"].inner["tools"],
        "type name description parameters",
    ),
    "messages": (
        structs.MESSAGES,
        (
            "model max_tokens messages system stream temperature top_p top_k stop_sequences tools tool_choice thinking "
            "metadata output_config"
        ),
    ),
    "messages message": (structs.MESSAGES.inner["messages"], "role content"),
    "messages block": (
        structs.MESSAGES.inner["messages"].inner["content"],
        "type text source id name input tool_use_id content is_error thinking signature",
    ),
    "messages block of a tool's answer": (
        structs.MESSAGES.inner["messages"].inner["content"].inner["content"],
        "type text source",
    ),
    "messages image": (structs.MESSAGES.inner["messages"].inner["content"].inner["source"], "type media_type data url"),
    "messages tool": (structs.MESSAGES.inner["tools"], "type name description input_schema max_uses"),
    "messages thinking": (structs.MESSAGES.inner["thinking"], "type budget_tokens"),
    "messages output": (structs.MESSAGES.inner["output_config"], "effort"),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_every_field_that_ollama_knows_is_listed(kind: str) -> None:
    struct, names = KNOWN[kind]
    assert not set(names.split()) - struct.names


@pytest.mark.parametrize("kind", KNOWN)
def test_any_other_spelling_of_a_known_field_is_refused(kind: str) -> None:
    struct, names = KNOWN[kind]
    for name in names.split():
        for spelling in spellings(name):
            with pytest.raises(BadBody, match="spell it so"):
                struct.check({spelling: 1})


def spellings(name: str) -> set[str]:
    """Other spellings of a key that Go's decoder takes for it."""
    folds = {name.replace("s", "\u017f"), name.replace("k", "\u212a"), name.upper().replace("S", "\u017f")}
    return {name.upper(), name.title(), name.swapcase(), *folds} - {name}


@pytest.mark.parametrize(
    ("struct", "payload", "where"),
    [
        (structs.CHAT, {"messages": [{"Role": "x"}]}, "messages: 'Role'"),
        (structs.CHAT, {"messages": [{}, {"tool_calls": [{"Function": {}}]}]}, "messages: tool_calls: 'Function'"),
        (structs.CHAT, {"tools": [{"function": {"NAME": "x"}}]}, "tools: function: 'NAME'"),
        (structs.CHAT, {"tools": {"Type": "x"}}, "tools: 'Type'"),
        (structs.CHAT_COMPLETIONS, {"stream_options": {"Include_Usage": True}}, "stream_options: 'Include_Usage'"),
        (structs.CHAT_COMPLETIONS, {"response_format": {"json_schema": {"Schema": {}}}}, "json_schema: 'Schema'"),
        (structs.RESPONSES, {"tools": [{"tools": [{"tYpe": "web_search"}]}]}, "tools: tools: 'tYpe'"),
        (structs.RESPONSES, {"input": [{"content": [{"TEXT": "x"}]}]}, "input: content: 'TEXT'"),
        (structs.MESSAGES, {"messages": [{"content": [{"content": [{"Text": ""}]}]}]}, "content: content: 'Text'"),
        (structs.MESSAGES, {"system": [{"Text": ""}]}, "system: 'Text'"),
    ],
)
def test_structs_are_looked_at_to_their_depth(struct: Struct, payload: dict[str, Any], where: str) -> None:
    with pytest.raises(BadBody, match=where):
        struct.check(payload)


SCHEMA = {"type": "object", "properties": {"URL": {"TYPE": "string"}, "url": {"Model": 1}}, "Required": ["URL"]}


@pytest.mark.parametrize(
    ("struct", "payload"),
    [
        (structs.CHAT, {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]}),
        (
            structs.CHAT,
            {"messages": [{"tool_calls": [{"function": {"name": "f", "arguments": {"NAME": 1, "name": 2}}}]}]},
        ),
        (structs.CHAT, {"format": SCHEMA, "options": {"TEMPERATURE": 1, "Model": "b"}}),
        (structs.GENERATE, {"format": SCHEMA}),
        (structs.CHAT_COMPLETIONS, {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}),
        (structs.CHAT_COMPLETIONS, {"metadata": {"Model": "x", "MODEL": "y"}}),
        (structs.RESPONSES, {"tools": [{"type": "function", "name": "f", "parameters": SCHEMA}]}),
        (structs.RESPONSES, {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}),
        (structs.MESSAGES, {"tools": [{"name": "f", "input_schema": SCHEMA}], "metadata": {"User": 1, "user": 2}}),
        (structs.MESSAGES, {"messages": [{"content": [{"type": "tool_use", "input": {"Type": 1, "type": 2}}]}]}),
        (structs.CREATE, {"parameters": {"Model": 1}, "files": {"Model.gguf": "sha256:0"}, "info": {"Name": 1}}),
    ],
)
def test_free_form_objects_pass_untouched(struct: Struct, payload: dict[str, Any]) -> None:
    struct.check(payload)


@given(st.dictionaries(st.text(max_size=12), st.integers(), max_size=5))
def test_a_passing_object_means_one_thing_alone(payload: dict[str, Any]) -> None:
    try:
        structs.CHAT.check(payload)
    except BadBody:
        return
    folded = [name for name in payload if fold(name) in structs.CHAT.names]
    assert all(name in structs.CHAT.names for name in folded)


@pytest.mark.parametrize("value", ["x", 1, None, [1, "x", None, []], [[{"Role": 1}]]])
def test_what_is_no_object_has_no_keys_to_misread(value: object) -> None:
    structs.CHAT.check({"messages": value})
