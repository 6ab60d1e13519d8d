"""All routes that Ollama has, in one table, and how a request finds its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote

from benchmarks.stub import catalogue, embeddings, errors, gojson, management, names, transcriptions
from benchmarks.stub.answer import PLAIN, Answer, Stream, Whole
from benchmarks.stub.anthropic import Messages
from benchmarks.stub.asking import Asked, Run, run
from benchmarks.stub.knobs import Knobs, find
from benchmarks.stub.loading import Loaded, default_window
from benchmarks.stub.native import Chat, Generate, option_window
from benchmarks.stub.openai import ChatCompletions, Completions
from benchmarks.stub.refusal import Refusal
from benchmarks.stub.responses import Responses

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.stub.errors import Surface
    from benchmarks.stub.gojson import Struct


class Dialect(Protocol):
    """How one inference route reads a request and writes a run."""

    def read(self, body: Struct) -> Asked:
        """Reads a request; raises Refusal."""

    def loaded(self, asked: Asked) -> Answer:
        """Writes the answer to a request without text."""

    def whole(self, run: Run) -> Whole:
        """Writes a run in one piece."""

    def stream(self, run: Run) -> Stream:
        """Writes a run in chunks."""


@dataclass(slots=True)
class State:
    """What the stub remembers between requests, and what it was told to be; its first model is loaded."""

    models: tuple[str, ...]
    old: bool = False
    blobs: set[str] = field(default_factory=set)
    loaded: Loaded = field(default_factory=Loaded)
    behaviour: dict[str, str] = field(default_factory=dict)
    on_load: Callable[[], object] = bool

    def __post_init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Returns to how it began."""
        self.behaviour.clear()
        self.blobs.clear()
        self.loaded = Loaded({model.lower(): default_window(names.parse(model)) for model in self.models[:1]})


@dataclass(slots=True)
class Request:
    """One request as its route sees it."""

    body: bytes
    argument: str
    state: State
    default_knobs: str


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and the knobs that say how it is given; `turn` names the model whose turn it needs."""

    answer: Answer
    knobs: Knobs
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """A row of the table; a segment `{}` of the path stands for one argument."""

    method: str
    path: str
    reply: Callable[[Request], Reply]
    surface: Surface = "native"

    @property
    def name(self) -> str:
        """The name under which its calls are counted."""
        return f"{self.method} {self.path}"


def infer(dialect: Dialect, surface: Surface) -> Callable[[Request], Reply]:
    """Returns the handler of an inference route."""

    def reply(request: Request) -> Reply:
        asked = dialect.read(gojson.decode(request.body, empty_body(surface)))
        asked.default_knobs = request.default_knobs
        knobs = asked.knobs
        refuse(knobs)
        if asked.load != "unload":
            asked.window, loads = request.state.loaded.use(asked.name, asked.num_ctx)
            if loads:
                request.state.on_load()
        if asked.load:
            return Reply(dialect.loaded(asked), knobs, asked.name.full)
        if knobs.error_after is not None and not (asked.stream and knobs.error_after):
            raise Refusal(500, errors.CRASHED)
        said = run(asked, knobs)
        if asked.stream:
            return Reply(dialect.stream(said), knobs, asked.name.full)
        return Reply(dialect.whole(said), knobs, asked.name.full)

    return reply


def parsed(handle: Callable[[Struct], Answer], surface: Surface = "native") -> Callable[[Request], Reply]:
    """Returns the handler of a route that reads a body and isn't inference in chunks."""

    def reply(request: Request) -> Reply:
        body = gojson.decode(request.body, empty_body(surface))
        model = body.text("model")
        knobs = find(request.body.decode("utf-8", "replace"), model, request.default_knobs)
        refuse(knobs)
        return Reply(handle(body), knobs)

    return reply


def embedding(handle: Callable[[Struct], Answer]) -> Callable[[Request], Reply]:
    """Returns the handler of a native route that embeds, which loads its model first."""
    reply = parsed(handle)

    def loading(request: Request) -> Reply:
        made = reply(request)
        body = gojson.decode(request.body, empty_body("native"))
        request.state.loaded.use(names.parse(body.text("model")), option_window(body))
        return made

    return loading


def bare(handle: Callable[[Request], Answer]) -> Callable[[Request], Reply]:
    """Returns the handler of a route whose body, if any, is not looked at."""

    def reply(request: Request) -> Reply:
        knobs = find("", "", request.default_knobs)
        refuse(knobs)
        return Reply(handle(request), knobs)

    return reply


def transcribe(request: Request) -> Reply:
    """Answers a form with a recording."""
    fields = transcriptions.read(request.body)
    prompt, model = (fields.get(name, b"").decode("utf-8", "replace") for name in ("prompt", "model"))
    knobs = find(prompt, model, request.default_knobs)
    refuse(knobs)
    return Reply(transcriptions.transcription(fields, knobs), knobs)


def refuse(knobs: Knobs) -> None:
    """Raises Refusal when the knobs ask for an error before the first byte."""
    if knobs.context:
        raise Refusal(400, errors.TOO_LONG if knobs.context == 1 else errors.RUNNER_TOO_LONG)
    if knobs.status:
        text = "" if knobs.empty else errors.TEXTS.get(knobs.status, "stub: something else")
        moved = 300 <= knobs.status < 400  # noqa: PLR2004 -- the class of redirects
        raise Refusal(knobs.status, text, plain=bool(knobs.plain), headers=(("Location", "/api/ps"),) if moved else ())


def empty_body(surface: Surface) -> str:
    """Returns the complaint about an empty body."""
    return "missing request body" if surface == "native" else "EOF"


ROUTES = (
    Route("GET", "/", bare(lambda _: catalogue.root())),
    Route("GET", "/api/version", bare(lambda _: catalogue.version())),
    Route("GET", "/api/status", bare(lambda _: catalogue.status())),
    Route("GET", "/api/tags", bare(lambda request: catalogue.tags(request.state.models))),
    Route("GET", "/api/ps", bare(lambda request: catalogue.ps(request.state.loaded))),
    Route("POST", "/api/show", parsed(catalogue.show)),
    Route("POST", "/api/generate", infer(Generate(), "native")),
    Route("POST", "/api/chat", infer(Chat(), "native")),
    Route("POST", "/api/embed", embedding(embeddings.embed)),
    Route("POST", "/api/embeddings", embedding(embeddings.embeddings)),
    Route("POST", "/api/pull", parsed(lambda body: management.progress("pull", body))),
    Route("POST", "/api/push", parsed(lambda body: management.progress("push", body))),
    Route("POST", "/api/create", parsed(lambda body: management.progress("create", body))),
    Route("POST", "/api/copy", parsed(management.copy)),
    Route("DELETE", "/api/delete", parsed(management.delete)),
    Route("HEAD", "/api/blobs/{}", bare(lambda request: management.blob_there(request.argument, request.state.blobs))),
    Route("POST", "/api/blobs/{}", bare(lambda request: management.blob_store(request.argument, request.state.blobs))),
    Route("POST", "/api/me", bare(lambda _: management.me())),
    Route("POST", "/api/signout", bare(lambda _: management.done())),
    Route("DELETE", "/api/user/keys/{}", bare(lambda _: management.done())),
    Route("POST", "/api/experimental/web_search", bare(lambda _: management.web("search"))),
    Route("POST", "/api/experimental/web_fetch", bare(lambda _: management.web("fetch"))),
    Route("GET", "/api/experimental/model-recommendations", bare(lambda _: catalogue.recommendations())),
    Route("POST", "/v1/chat/completions", infer(ChatCompletions(), "openai"), "openai"),
    Route("POST", "/v1/completions", infer(Completions(), "openai"), "openai"),
    Route("POST", "/v1/embeddings", parsed(embeddings.openai_embeddings, "openai"), "openai"),
    Route("GET", "/v1/models", bare(lambda request: catalogue.openai_models(request.state.models)), "openai"),
    Route("GET", "/v1/models/{}", bare(lambda request: catalogue.retrieve(request.argument)), "openai"),
    Route("POST", "/v1/responses", infer(Responses(), "openai"), "openai"),
    Route("POST", "/v1/messages", infer(Messages(), "anthropic"), "anthropic"),
    Route("POST", "/v1/audio/transcriptions", transcribe, "openai"),
)
HEAD_TOO = {"/", "/api/version", "/api/tags"}
EXACT = {(route.method, route.path): route for route in ROUTES} | {
    ("HEAD", route.path): route for route in ROUTES if route.method == "GET" and route.path in HEAD_TOO
}
PATTERNS = [route for route in ROUTES if route.path.endswith("{}")]


def match(method: str, path: str) -> tuple[Route, str] | None:
    """Finds the route of a decoded path, and its argument."""
    route = EXACT.get((method, path))
    if route:
        return route, ""
    head, _slash, last = path.rpartition("/")
    for pattern in PATTERNS:
        if pattern.method == method and last and pattern.path == head + "/{}":
            return pattern, last
    return None


def unmatched(method: str, target: str) -> Whole:
    """Answers a request that has no route: a redirect to the clean path, 405 or 404."""
    raw, question, query = target.partition("?")
    path = unquote(raw)
    clean = cleaned(path)
    moved = 301 if method in ("GET", "HEAD") else 307
    if clean != path:
        return Whole(b"", moved, None, (("Location", clean + question + query),))
    other = path[:-1] if path.endswith("/") else path + "/"
    if path != "/" and match(method, other):
        return Whole(b"", moved, None, (("Location", other + question + query),))
    allowed = [verb for verb in ("GET", "HEAD", "POST", "DELETE") if match(verb, path)]
    if method == "OPTIONS" and allowed:
        return Whole(b"", 204, None)
    if allowed:
        return Whole(b"405 method not allowed", 405, PLAIN, (("Allow", ", ".join(allowed)),))
    return Whole(b"404 page not found", 404, PLAIN)


def cleaned(path: str) -> str:
    """Resolves `.`, `..` and doubled slashes."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/" + "/".join(parts) + ("/" if path.endswith("/") and parts else "")
