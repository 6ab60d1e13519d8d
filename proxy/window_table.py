"""The context windows of one Ollama's models, as far as it has said: read now and then, never once a request."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from proxy.context_window import OPTION, Windows
from proxy.dialects.base import object_of
from proxy.exceptions import UpstreamError
from proxy.metadata import Question
from proxy.names import readings

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.metadata import MetadataCache

# How old what is known of loaded models may be, in seconds: for a request whose window depends on it, and for others.
EXACT, ROUGH = 0.25, 1.0
# How long a model's own windows count, and the answer that says them, in seconds.
OWN_SECONDS, SHOW_SECONDS = 60.0, 5.0
# How long a request waits for Ollama to say, and when Ollama is asked again if it did not, in seconds.
PATIENCE, RETRY = 1.0, 5.0
MAX_MODELS = 1024
# How many models may be asked about at once.
MOST_AT_ONCE = 4
NEVER = float("-inf")


class WindowTable:
    """Knows with which windows models are loaded (`/api/ps`), and which are their own (`/api/show`)."""

    def __init__(self, metadata: MetadataCache) -> None:
        self.metadata = metadata
        self.loaded: dict[str, int] = {}
        self.read_at = self.failed_at = NEVER
        self.reading: asyncio.Task[None] | None = None
        self.own: OrderedDict[str, tuple[float, Windows]] = OrderedDict()  # by name: until when, and what
        self.asking: dict[str, asyncio.Task[None]] = {}
        self.requested: OrderedDict[str, int] = OrderedDict()  # windows that requests were seen to ask for

    def known(self, name: str) -> Windows:
        """Returns what is known of a model, by its short name."""
        until, own = self.own.get(name, (NEVER, Windows()))
        loaded = self.loaded.get(name)
        is_usual = loaded is None or self.requested.get(name) != loaded
        return (
            Windows(loaded, own.parameter, own.trained, is_usual)
            if until > monotonic()
            else Windows(loaded, is_usual=is_usual)
        )

    async def of(self, name: str, age: float) -> Windows:
        """Returns what is known of a model; which are loaded is read again if that is older than `age` (seconds).

        That takes PATIENCE at most.  A model that was not loaded may be by now.
        """
        now = monotonic()
        age = age if name in self.loaded else EXACT
        if now - self.failed_at > RETRY and now - self.read_at > age:
            await asyncio.wait((self.read_soon(),), timeout=PATIENCE)
        return self.known(name)

    async def with_own(self, name: str, target: str, may_ask: Callable[[], bool]) -> Windows:
        """Returns what is known of a model, its own windows too, for which it may wait PATIENCE.

        `target` is the spelling that Ollama gets, `may_ask` tells whether the one who asks may ask about another model.
        """
        now = monotonic()
        if self.own.get(name, (NEVER,))[0] < now and now - self.failed_at > RETRY:
            task = self.ask_soon(name, target, may_ask)
            if task is not None:
                await asyncio.wait((task,), timeout=PATIENCE)
        return self.known(name)

    def read_soon(self) -> asyncio.Task[None]:
        """Begins to read which models are loaded, unless that is under way."""
        if self.reading is None:
            self.reading = asyncio.get_running_loop().create_task(self.read())
        return self.reading

    async def read(self) -> None:
        """Reads which models are loaded; of an Ollama that does not tell, none is known to be."""
        began = monotonic()
        try:
            models = object_of(await self.answer(Question("GET", "/api/ps"), 0.0)).get("models")
            self.loaded = dict(windows_of(models if isinstance(models, list) else []))
            self.read_at = began
            for name, window in list(self.requested.items()):
                if self.loaded.get(name, window) != window:
                    del self.requested[name]
        except (UpstreamError, TimeoutError, ValueError):
            self.loaded = {}
            self.failed_at = monotonic()
        finally:
            self.reading = None

    def ask_soon(self, name: str, target: str, may_ask: Callable[[], bool]) -> asyncio.Task[None] | None:
        """Begins to ask for a model's own windows, unless that is under way or there is no room."""
        task = self.asking.get(name)
        if task is None and len(self.asking) < MOST_AT_ONCE and may_ask():
            task = self.asking[name] = asyncio.get_running_loop().create_task(self.ask(name, target))
        return task

    async def ask(self, name: str, target: str) -> None:
        """Asks for a model's own windows; where Ollama does not tell, they are unknown for a while."""
        own, seconds = Windows(), RETRY
        try:
            question = Question("POST", "/api/show", orjson.dumps({"model": target}))
            own, seconds = own_windows(await self.answer(question, SHOW_SECONDS)), OWN_SECONDS
        except (UpstreamError, TimeoutError, ValueError):
            pass
        finally:
            del self.asking[name]
        self.own.pop(name, None)
        self.own[name] = monotonic() + seconds, own
        if len(self.own) > MAX_MODELS:
            self.own.popitem(last=False)

    async def answer(self, question: Question, seconds: float) -> Any:
        """Returns what Ollama says; raises UpstreamError, TimeoutError, and ValueError for what is no answer."""
        async with asyncio.timeout(PATIENCE):
            status, body = await self.metadata.get(question, seconds)
        if status != HTTPStatus.OK:
            raise ValueError("no answer")
        return orjson.loads(body)

    def note(self, name: str, window: int | None) -> None:
        """Notes that a request for a model is sent on, with this num_ctx: one that was not loaded will be."""
        loaded = self.loaded.get(name)
        if loaded is None:
            self.read_at = min(self.read_at, monotonic() - EXACT)
        if window is not None and window not in (loaded, self.known(name).default):
            self.requested[name] = window
            if len(self.requested) > MAX_MODELS:
                self.requested.popitem(last=False)

    def forget(self) -> None:
        """Says that models have changed."""
        self.own.clear()
        self.read_at = self.failed_at = NEVER

    def close(self) -> None:
        """Says so at the end of a call that holds it, which may have changed them until then."""
        self.forget()


def windows_of(models: list[Any]) -> list[tuple[str, int]]:
    """Returns names and windows of the loaded models that `/api/ps` lists."""
    found = []
    for model in map(object_of, models):
        window, name = model.get("context_length"), model.get("name")
        if type(window) is int and window > 0 and isinstance(name, str):
            found += [(reading.short, window) for reading in readings(name)[:1]]
    return found


def own_windows(answer: Any) -> Windows:
    """Returns a model's own windows as `/api/show` says them."""
    said = object_of(answer)
    info = object_of(said.get("model_info"))
    trained = info.get(context_field(info))
    parameter = parameter_in(said.get("parameters"))
    return Windows(parameter=parameter, trained=trained if type(trained) is int and trained > 0 else None)


def context_field(info: dict[str, Any]) -> str:
    """Returns the name of the field of `model_info` that has the window for which a model was trained."""
    return f"{info.get('general.architecture')}.context_length"


def parameter_in(parameters: object) -> int | None:
    """Returns the `num_ctx` among a Modelfile's parameters, one a line."""
    for line in parameters.splitlines() if isinstance(parameters, str) else ():
        if is_window(line):
            return int(line.split()[1]) or None
    return None


def is_window(line: str) -> bool:
    """Tells whether a line of a Modelfile's parameters sets `num_ctx`."""
    words = line.split()
    return len(words) == 2 and words[0] == OPTION and words[1].isdecimal()  # noqa: PLR2004 -- a name and a value
