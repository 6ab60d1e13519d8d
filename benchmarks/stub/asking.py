"""What a request asks for, whatever its dialect, and what the stub then says: words, counts and a reason."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.stub import names, stamps
from benchmarks.stub.knobs import Knobs, find, words
from benchmarks.stub.loading import fitted
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from benchmarks.stub.answer import Stream, Whole

DEFAULT_CAP = 5
MEGABYTE = 2**20
MULTIBYTE = ("é", " 漢字", " 🦙", " \u0085", " \u2028\u2029", ' "\\', " \n\t", " <&>", " e\u0301", " 👩‍👩‍👧")
THOUGHTS = ("Hm", ", let me think", ".")
DEFAULT_THOUGHTS = 2


@dataclass(slots=True)
class Asked:
    """A request for inference, read from its body."""

    model: str
    name: names.Name
    stream: bool
    texts: list[str]
    last: str
    cap: int | None = None
    think: bool | None = None
    tools: list[str] = field(default_factory=list)
    include_usage: bool = False
    load: Literal["", "load", "unload"] = ""
    raw: bool = False
    default_knobs: str = ""
    num_ctx: int | None = None
    truncate: bool | None = None
    window: int | None = None  # in which it runs

    @property
    def knobs(self) -> Knobs:
        """The knobs in its texts and its model's name."""
        marked = " ".join(text for text in self.texts if "[[" in text)
        return find(marked, self.model, self.default_knobs)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model makes, always the same for the same tool."""

    name: str
    arguments: dict[str, Any]
    call_id: str = "call_ab12cd34"


@dataclass(slots=True)
class Run:
    """What is said in answer to a request."""

    asked: Asked
    knobs: Knobs
    thoughts: list[str]
    tokens: Iterable[str]
    tools: list[ToolCall]
    reason: str
    prompt_count: int
    eval_count: int

    @property
    def model(self) -> str:
        """The model's name as it was sent."""
        return self.asked.model

    @property
    def cached(self) -> int | None:
        """How much of the prompt came from the cache; None for an Ollama before 0.34, which does not say."""
        return None if self.knobs.cached is None else min(self.knobs.cached, self.prompt_count)

    @property
    def tools_last(self) -> bool:
        """Tells whether the tool calls ride on the final chunk."""
        return self.knobs.tool == "final"

    @property
    def cut_short(self) -> bool:
        """Tells whether the run ends without a final chunk and without an error."""
        return self.knobs.eof_after is not None

    @property
    def text(self) -> str:
        """The whole text of an answer that is not streamed."""
        return "".join(self.tokens)

    @property
    def thinking(self) -> str:
        """The whole thinking text."""
        return "".join(self.thoughts)


class Translated:
    """What the dialects under /v1 share: an empty request is answered like a run in which nothing is said."""

    def whole(self, run: Run) -> Whole:
        """Writes a run in one piece."""
        raise NotImplementedError

    def stream(self, run: Run) -> Stream:
        """Writes a run in chunks."""
        raise NotImplementedError

    def loaded(self, asked: Asked) -> Whole | Stream:
        """Writes the answer to a request without any text, which loads the model."""
        nothing = Run(asked, asked.knobs, [], [], [], asked.load, 0, 0)
        return self.stream(nothing) if asked.stream else self.whole(nothing)


def run(asked: Asked, knobs: Knobs) -> Run:
    """Decides what is said: words of the last user text up to the cap, and the counts that belong to it."""
    said = words(asked.last)
    wanted = len(said) if knobs.chunks is None else knobs.chunks
    cap = asked.cap
    if cap is None or cap <= 0:
        cap = DEFAULT_CAP if cap is None and knobs.chunks is None else None
    emitted = wanted if cap is None else min(wanted, cap)
    tokens: Iterable[str] = _tokens(said, knobs)
    if knobs.line_mb:
        tokens, emitted, wanted = [_padded("x", knobs.line_mb * MEGABYTE)], 1, 1
    elif not knobs.endless:
        tokens = list(itertools.islice(tokens, emitted))
    elif not asked.stream:
        raise Refusal(501, "the stub's endless answer is a stream")
    thoughts = _thoughts(asked, knobs)
    tools = [ToolCall(asked.tools[0], {"x": 1})] if knobs.tool and asked.tools else []
    prompt_count = sum(len(words(text)) for text in asked.texts)
    if asked.window is not None:
        prompt_count = fitted(prompt_count, asked.window, truncate=asked.truncate)
    prompt_count = prompt_count if knobs.usage else 0
    eval_count = emitted + len(thoughts) + len(tools) if knobs.usage else 0
    reason = "length" if emitted < wanted else "stop"
    return Run(asked, knobs, thoughts, tokens, tools, reason, prompt_count, eval_count)


def _tokens(said: list[str], knobs: Knobs) -> Iterator[str]:
    if knobs.stamp:
        return itertools.repeat(stamps.BLANK.decode())
    if knobs.multibyte:
        source: Iterator[str] = itertools.cycle(MULTIBYTE)
    elif said:
        spaced = (" " + word for word in itertools.islice(itertools.cycle(said), 1, None))
        source = itertools.chain(said[:1], spaced)
    else:
        source = (f" {number}" for number in itertools.count())
    return (_padded(token, knobs.size) for token in source) if knobs.size else source


def _padded(token: str, size: int) -> str:
    return token + "x" * (size - len(token))


def _thoughts(asked: Asked, knobs: Knobs) -> list[str]:
    if knobs.thinking is not None:
        count = knobs.thinking
    else:
        count = DEFAULT_THOUGHTS if asked.name.thinks and asked.think is not False else 0
    return list(itertools.islice(itertools.cycle(THOUGHTS), count))


def model_of(text: str, *, absent: Refusal, exact: bool = False, quote: str = "'") -> names.Name:
    """Looks a model up by name; raises Refusal: `absent` when empty, 400 for a bad name, 404 for a missing one."""
    if not text:
        raise absent
    name = names.parse(text)
    if not names.exists(name, exact=exact):
        advice = ", try pulling it first" if quote == '"' else ""
        raise Refusal(404, f"model {quote}{text}{quote} not found{advice}")
    if name.source == "local" and name.model.lower() == "stub-remote":
        raise Refusal(404, f"model {quote}{text}{quote} not found")
    return name


def check_abilities(asked: Asked, verb: str) -> None:
    """Raises Refusal (400) when the model can't do what is asked of it."""
    if asked.name.embeds:
        raise Refusal(400, f'"{asked.model}" does not support {verb}')
    if asked.tools and not asked.name.takes_tools:
        raise Refusal(400, f"{asked.name.full} does not support tools")
    if asked.think and not asked.name.thinks and asked.knobs.thinking is None:
        raise Refusal(400, f'"{asked.model}" does not support thinking')
