"""Gives a request its context window, and says so where its prompt does not fit."""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from proxy.context_window import (
    FAR_OVER,
    OPTION,
    SMALLEST_DEFAULT,
    Overflow,
    Windows,
    asked_window,
    granted,
    has_more,
    overflow,
    rule_for,
    texts_in,
    window_of,
)
from proxy.estimate import CHARACTERS_A_TOKEN, READ, tokens_of
from proxy.exceptions import ContextExceeded
from proxy.running import running
from proxy.window_table import EXACT, ROUGH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apikeys.principal import Principal
    from gateway.context_window import WindowRule
    from proxy.names import ModelName
    from proxy.policy import Ask
    from proxy.routes import Route

# A prompt with fewer tokens, as estimated, fits into any window that models are used with.
LOOK_FROM = 128
WARNING = "context_length"


def needs_window(asked: Ask, principal: Principal) -> bool:
    """Tells whether there is anything to decide about a request's window."""
    return bool(
        asked.name is not None
        and (asked.sets_window or asked.prompt_estimate > LOOK_FROM or principal.windows or running.policy.windows)
    )


async def fit(route: Route, asked: Ask, principal: Principal) -> None:
    """Sets the request's num_ctx; raises ContextExceeded, or leaves a warning, where the prompt does not fit."""
    name, is_native = asked.name, "options" in route.shape.types
    assert name is not None  # noqa: S101 -- there would be nothing to decide
    rule = rule_of(name, principal)
    windows = Windows()
    if not name.cloud and (asked.prompt_estimate > LOOK_FROM or (asked.sets_window and rule is None)):
        exactly = asked.sets_window and rule is None
        windows = await look(route, asked, principal, exactly=exactly)
    sent = grant(asked, rule, windows) if is_native else None
    over = prompt_over(route, asked, sent, windows)
    if over is not None and over.is_certain:
        # What is known roughly is not enough to refuse.
        over = prompt_over(route, asked, sent, await look(route, asked, principal, exactly=True))
        if over is not None and over.is_certain:
            text = route.surface.context_exceeded.format(tokens=over.tokens, window=over.window)
            raise ContextExceeded(text)
    asked.warning = over


def note_use(asked: Ask) -> None:
    """Notes that a request is sent on: its model will be loaded, with the window that it asks for."""
    if asked.name is not None and not asked.name.cloud:
        options = asked.payload.get("options")
        running.windows.note(asked.canonical, asked_window(options.get(OPTION)) if isinstance(options, dict) else None)


def rule_of(name: ModelName, principal: Principal) -> WindowRule | None:
    """Returns the rule for a model: the key's own, or the settings', which don't bind keys that manage."""
    return rule_for(name, principal.windows, *(() if "manage" in principal.scopes else running.policy.windows))


async def look(route: Route, asked: Ask, principal: Principal, *, exactly: bool) -> Windows:
    """Returns what is known of the model's windows.

    Its own are asked for where it is not loaded, and either a window was asked for or the prompt is larger than the
    smallest that Ollama gives.
    """
    windows = await running.windows.of(asked.canonical, EXACT if exactly else ROUGH)
    if windows.loaded is not None:
        return windows
    if asked.sets_window or has_more(texts_of(route, asked), FAR_OVER * SMALLEST_DEFAULT * CHARACTERS_A_TOKEN):
        may_ask = partial(running.read_rate.may_take, principal.key_id)
        windows = await running.windows.with_own(asked.canonical, asked.target, may_ask)
    return windows


def texts_of(route: Route, asked: Ask) -> Iterator[str]:
    """Yields the texts of a prompt, without what is read in other ways: tools, images, tokens."""
    return chain.from_iterable(texts_in(asked.payload.get(name)) for name in route.shape.texts if name not in READ)


def grant(asked: Ask, rule: WindowRule | None, windows: Windows) -> int | None:
    """Writes what a request of Ollama's own API gets as num_ctx; returns it."""
    options = asked.payload.get("options")
    if not asked.sets_window and rule is None:
        return asked_window(options.get(OPTION)) if isinstance(options, dict) else None
    given = granted(rule, windows, asked.window, is_set=asked.sets_window)
    if given.send is not None:
        asked.payload["options"] = {**(options or {}), OPTION: given.send}
    asked.changed += given.changed
    return given.send


def prompt_over(route: Route, asked: Ask, sent: int | None, windows: Windows) -> Overflow | None:
    """Tells by how much a prompt is larger than its window, as far as that is known.

    Not where the client asked for Ollama's own refusal (`truncate: false`).  It is never certain of embeddings, which
    Ollama truncates one by one, nor where the client asked for that.
    """
    payload, shape = asked.payload, route.shape
    window = window_of(sent, windows) or windows.trained
    if window is None or payload.get("truncate") is False:
        return None
    if shape.cap is None:
        return overflow((), largest([payload.get(name) for name in shape.texts]), window)
    over = overflow(texts_of(route, asked), asked.prompt_estimate, window)
    if over is not None and (payload.get("truncate") or payload.get("truncation") == "auto"):
        return over._replace(is_certain=False)
    return over


def largest(values: list[Any]) -> int:
    """Returns the tokens of the largest of some texts, as estimated."""
    texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
    return tokens_of(max((len(text) for text in texts if isinstance(text, str)), default=0))
