"""Which context window a request gets: what is sent as `num_ctx`, and whether the prompt can fit.

Ollama reloads a model for everybody when a request's `num_ctx` differs from what it is loaded with, be it larger or
smaller.  So a request that may not change that gets the loaded window, whatever it asks for; one for a model that is
not loaded gets the model's own default.  Rules of the operator (gateway/context_window.py) come before that.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from proxy.clamps import is_number
from proxy.estimate import CHARACTERS_A_TOKEN
from proxy.names import matches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.context_window import WindowRule
    from proxy.names import ModelName

OPTION = "num_ctx"
# Ollama's default on the smallest machines, and the least that it is anywhere unless it is set.
SMALLEST_DEFAULT = 4096
# A prompt is refused whose estimate is more than this many windows; else it is served with a warning.
FAR_OVER = 2
# Runs of one character may be a single token, however long they are.
RUNS = re.compile(r"(.)\1{3,}", re.DOTALL)
# Of each STEP characters the first SAMPLE are looked at, and no more samples than these: a body may have megabytes, and
# others wait meanwhile.
STEP, SAMPLE, MOST_SAMPLES = 1024, 128, 4096


class Windows(NamedTuple):
    """What is known of a model's context windows, in tokens; None for what is not known."""

    loaded: int | None = None  # with which it is loaded now
    parameter: int | None = None  # which its Modelfile sets
    trained: int | None = None  # for which it was made: Ollama gives no more
    is_usual: bool = True  # false where a request is known to have asked for the loaded one

    @property
    def default(self) -> int | None:
        """The window with which Ollama loads it for a request that asks for none."""
        if self.parameter is not None:
            return self.capped(self.parameter)
        return self.trained if self.trained is not None and self.trained <= SMALLEST_DEFAULT else None

    @property
    def usual(self) -> int | None:
        """The window of a request that asks for none: the loaded one, unless the Modelfile sets another."""
        if self.parameter is None and self.is_usual and self.loaded is not None:
            return self.loaded
        return self.default

    def capped(self, window: int) -> int:
        """Returns what Ollama makes of a window."""
        return window if self.trained is None else min(window, self.trained)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a request gets: `send` as its num_ctx (None for none), and what was changed, for people."""

    send: int | None = None
    changed: tuple[str, ...] = ()


def rule_for(name: ModelName, *sets: Sequence[WindowRule]) -> WindowRule | None:
    """Returns the rule for a model: of the first set that has one, the closest."""
    for rules in sets:
        for rule in rules:
            if matches(name, rule.pattern):
                return rule
    return None


def asked_window(value: object) -> int | None:
    """Returns the window that a request asks for, None for what Ollama would not take as one."""
    return int(value) if is_number(value) and 1 <= value < 2**31 else None


def granted(rule: WindowRule | None, windows: Windows, value: object, *, is_set: bool) -> Grant:
    """Decides on a request's num_ctx of this `value`, which may be unset."""
    asked = asked_window(value)
    if rule is not None and (asked is not None or not is_set or rule.default is not None):
        send = rule.grant(asked)
    elif rule is not None or asked is None:
        send = None
    else:
        send = windows.loaded if windows.loaded is not None else windows.default
    if send == asked and (asked is not None or not is_set):
        return Grant(send)
    return Grant(send, (f"options.{OPTION} dropped" if send is None else f"options.{OPTION}={send}",))


def window_of(sent: int | None, windows: Windows) -> int | None:
    """Returns the window in which a request runs, None where that is not known."""
    return windows.capped(sent) if sent is not None else windows.usual


class Overflow(NamedTuple):
    """A prompt that is larger than its window, in tokens as estimated."""

    tokens: int
    window: int
    is_certain: bool

    def __str__(self) -> str:
        """Says it, in a header."""
        return (
            f"the prompt has about {self.tokens} tokens and the context window is {self.window}: "
            "Ollama drops what does not fit"
        )


def overflow(texts: Iterable[str], estimate: int, window: int) -> Overflow | None:
    """Tells whether a prompt of so many tokens, as estimated, is larger than a window.

    It is certain only where FAR_OVER windows are less than a quarter of the characters, each run of one character
    counted once: no text that people or programs write has so many characters a token.
    """
    if estimate <= window:
        return None
    enough = FAR_OVER * window * CHARACTERS_A_TOKEN
    return Overflow(estimate, window, is_certain=has_more(texts, enough))


def has_more(texts: Iterable[str], enough: int) -> bool:
    """Tells whether texts have more characters than `enough`, with runs shortened, as samples of them show."""
    count, samples = 0, 0
    for text in texts:
        size = len(text)
        for start in range(0, size, STEP):
            samples += 1
            sample = text[start : start + SAMPLE]
            count += len(RUNS.sub(r"\1", sample)) * min(STEP, size - start) // len(sample)
            if count > enough or samples == MOST_SAMPLES:
                return count > enough
    return False


def texts_in(value: Any) -> Iterator[str]:
    """Yields the texts of a prompt: strings, and what is text in messages, their parts and items; no media, no files.

    What a template may leave out, such as thoughts and tools, is not among them.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)
    elif isinstance(value, dict):
        for name in ("content", "text", "output", "arguments"):
            yield from texts_in(value.get(name))
