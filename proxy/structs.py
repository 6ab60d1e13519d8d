"""The objects that Ollama decodes into Go structs, and the keys that it would misread there.

Go's decoder matches a struct's keys regardless of case and of two Unicode folds, so `MODEL` is read as `model` after
we checked `model`.  Such a key is refused wherever a struct is decoded.  Free-form objects (tool parameters, arguments,
options, formats) are maps to Ollama; they pass untouched, and so do names that it does not know.
"""

from __future__ import annotations

from typing import Any

from proxy.exceptions import BadBody

# The long s and the Kelvin sign are the two characters beyond ASCII that fold onto an ASCII letter.
FOLDS = str.maketrans({"\u017f": "s", "\u212a": "k"})

# The fields of all kinds of requests that name a model.
MODEL_FIELDS = ("model", "source", "destination", "from")


def fold(key: str) -> str:
    """Returns a key as Go's decoder compares it."""
    return key.translate(FOLDS).lower()


class Struct:
    """A Go struct: its plain keys, and its keys that hold structs themselves or arrays of them."""

    __slots__ = ("inner", "models", "names")

    def __init__(self, plain: str, **inner: Struct) -> None:
        self.names = frozenset(plain.split()) | frozenset(inner)
        self.models = tuple(name for name in MODEL_FIELDS if name in self.names)  # the keys that name a model
        self.inner = inner

    def check(self, value: dict[str, Any], where: str = "") -> None:
        """Raises BadBody for a key in `value`, at any depth, that folds onto a known one without being it."""
        for key in value:
            if key not in self.names and fold(key) in self.names:
                raise BadBody(f"{where}{key[:40]!r} would be read as {fold(key)!r}: spell it so.")
        for name, struct in self.inner.items():
            inner = value.get(name)
            for item in inner if isinstance(inner, list) else (inner,):
                if isinstance(item, dict):
                    struct.check(item, f"{where}{name}: ")


FUNCTION = Struct("name description parameters arguments index strict")
TOOL = Struct("type items", function=FUNCTION)
TOOL_CALL = Struct("id index type", function=FUNCTION)
STREAM_OPTIONS = Struct("include_usage")
EFFORT = Struct("effort generate_summary summary")

NATIVE_MESSAGE = Struct("role content thinking images tool_name tool_call_id", tool_calls=TOOL_CALL)
SAMPLING = "model stream keep_alive options think truncate shift runner logprobs top_logprobs format _debug_render_only"
GENERATE = Struct(f"{SAMPLING} prompt suffix system template context raw images width height steps")
CHAT = Struct(SAMPLING, messages=NATIVE_MESSAGE, tools=TOOL)
EMBED = Struct("model input truncate dimensions keep_alive options")
EMBEDDINGS = Struct("model prompt keep_alive options")
TRANSCRIPTION = Struct("file model language prompt response_format temperature stream")
SHOW = Struct("model name system template verbose options")

OPENAI_MESSAGE = Struct("role content reasoning name tool_call_id", tool_calls=TOOL_CALL)
OPENAI_SAMPLING = (
    "model stream max_tokens max_completion_tokens seed stop temperature top_p frequency_penalty presence_penalty "
    "logprobs top_logprobs runner _debug_render_only"
)
JSON_SCHEMA = Struct("name schema strict type")
CHAT_COMPLETIONS = Struct(
    f"{OPENAI_SAMPLING} reasoning_effort",
    messages=OPENAI_MESSAGE,
    stream_options=STREAM_OPTIONS,
    response_format=Struct("type", json_schema=JSON_SCHEMA),
    tools=TOOL,
    reasoning=EFFORT,
)
COMPLETIONS = Struct(f"{OPENAI_SAMPLING} prompt suffix", stream_options=STREAM_OPTIONS)
OPENAI_EMBEDDINGS = Struct("model input dimensions encoding_format")

PART = Struct("type text detail file_id file_data file_url filename image_url annotations refusal")
RESPONSE_TOOL = "type name description strict parameters filters search_context_size user_location"
RESPONSES = Struct(
    "model background conversation include instructions max_output_tokens temperature tool_choice top_p "
    "top_logprobs truncation stream store previous_response_id parallel_tool_calls metadata user",
    input=Struct(
        "type id role status call_id name arguments encrypted_content",
        content=PART,
        summary=PART,
        output=PART,
        action=Struct("type query queries url pattern"),
    ),
    reasoning=EFFORT,
    text=Struct("verbosity", format=JSON_SCHEMA),
    # A namespace is a tool that holds tools.
    tools=Struct(RESPONSE_TOOL, tools=Struct(RESPONSE_TOOL)),
)

IMAGE_SOURCE = Struct("type media_type data url")
BLOCK_NAMES = (
    "type text id name input tool_use_id is_error thinking signature data cache_control citations title url "
    "encrypted_content page_age error_code"
)
# What a tool answered is made of blocks again.
BLOCK = Struct(BLOCK_NAMES, source=IMAGE_SOURCE, content=Struct(f"{BLOCK_NAMES} content", source=IMAGE_SOURCE))
MESSAGES = Struct(
    "model max_tokens stream temperature top_p top_k stop_sequences metadata",
    system=BLOCK,
    messages=Struct("role", content=BLOCK),
    tools=Struct("type name description input_schema max_uses allowed_domains blocked_domains user_location"),
    tool_choice=Struct("type name disable_parallel_tool_use"),
    thinking=Struct("type budget_tokens"),
    output_config=Struct("effort"),
)

PULL = Struct("model name insecure username password stream")
CREATE = Struct(
    "model name from files remote_host adapters draft_files template license system parameters renderer parser "
    "requires info quantize draft_quantize stream path modelfile quantization",
    messages=NATIVE_MESSAGE,
)
COPY = Struct("source destination")
DELETE = Struct("model name")
