"""Which models exist, how their names are read, and what they can do."""

from __future__ import annotations

import re
from dataclasses import dataclass

from benchmarks.stub.refusal import Refusal

HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
NAMESPACE_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
HOST_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
CATALOGUE = ("stub:latest", "stub-embed:latest", "stub-think:latest", "stub-remote:latest")
MOST_PARTS = 3


@dataclass(frozen=True, slots=True)
class Name:
    """A model's name with nothing left out: `host/namespace/model:tag`, and the source it asks for."""

    host: str
    namespace: str
    model: str
    tag: str
    source: str = ""

    @property
    def full(self) -> str:
        """The name as Ollama's texts spell it where they are long."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def short(self) -> str:
        """The shortest form that still has its tag, as listings show it."""
        text = f"{self.model}:{self.tag}"
        if self.host != HOST:
            return f"{self.host}/{self.namespace}/{text}"
        return text if self.namespace == NAMESPACE else f"{self.namespace}/{text}"

    @property
    def remote(self) -> bool:
        """Tells whether a request for it would leave the machine."""
        return self.source == "cloud" or self.model.lower() == "stub-remote"

    @property
    def embeds(self) -> bool:
        """Tells whether it is an embedding model."""
        return "embed" in self.model.lower()

    @property
    def thinks(self) -> bool:
        """Tells whether it can think."""
        return "think" in self.model.lower()

    @property
    def takes_tools(self) -> bool:
        """Tells whether it can call tools: every completion model but the plain `stub`."""
        return not self.embeds and self.model.lower() != "stub"

    @property
    def capabilities(self) -> list[str]:
        """What `/api/show` lists."""
        if self.embeds:
            return ["embedding"]
        known = ["completion"]
        known += ["tools"] if self.takes_tools else []
        known += ["insert", "vision"] if self.model.lower() != "stub" else ["insert"]
        return known + (["thinking"] if self.thinks else [])


def parse(text: str) -> Name:
    """Reads a model's name; raises Refusal (400) for one that can't be."""
    rest = text.strip()
    source = ""
    if rest.lower().endswith((":local", ":cloud")):
        rest, source = rest[:-6], rest[-5:].lower()
    elif ":" in rest and rest.lower().endswith("-cloud"):
        rest, source = rest[:-6], "cloud"
    if rest.lower().endswith((":local", ":cloud")) or (source and ":" in rest and rest.lower().endswith("-cloud")):
        raise Refusal(400, "invalid model name")
    if "://" in rest:
        rest = rest.split("://", 1)[1]
    head, slash, last = rest.rpartition("/")
    model, colon, tag = last.partition(":")
    parts = head.split("/") if slash else []
    host = parts[0] if len(parts) == MOST_PARTS - 1 else HOST
    namespace = parts[-1] if parts else NAMESPACE
    fits = (
        len(parts) < MOST_PARTS
        and HOST_PART.fullmatch(host)
        and NAMESPACE_PART.fullmatch(namespace)
        and PART.fullmatch(model)
        and (not colon or PART.fullmatch(tag))
    )
    if not fits:
        raise Refusal(400, "invalid model name")
    return Name(host, namespace, model, tag if colon else TAG, source)


def exists(name: Name, *, exact: bool = False) -> bool:
    """Tells whether a model is there: all are, but those that begin with `missing`.

    With `exact`, a catalogue name in another case is not there, as on /api/embeddings.
    """
    if name.model.lower().startswith("missing"):
        return False
    listed = name.short.lower() in CATALOGUE
    return not (exact and listed and name.short not in CATALOGUE)
