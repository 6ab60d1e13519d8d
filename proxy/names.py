"""Model names as Ollama reads them: many spellings, one model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache

# Ollama's defaults for the parts that a name leaves out.
HOST, NAMESPACE, TAG = "registry.ollama.ai", "library", "latest"
# The parts' alphabets and lengths, as Ollama checks them; an address may be long.
PART = re.compile(r"[a-z0-9_][a-z0-9_-]{0,79}")
DOTTED = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,79}")
ADDRESS = re.compile(r"[a-z0-9_][a-z0-9_.:-]{0,349}")
MAX_NAME = 700


@dataclass(frozen=True)
class ModelName:
    """A model's full name in lower case, and whether it names a cloud model."""

    host: str
    namespace: str
    model: str
    tag: str
    cloud: bool = False

    @cached_property
    def short(self) -> str:
        """The shortest spelling, always with the tag: `mistral:latest`, `me/mine:7b`."""
        name = f"{self.model}:{self.tag}"
        if self.namespace != NAMESPACE or self.host != HOST:
            name = f"{self.namespace}/{name}"
        return f"{self.host}/{name}" if self.host != HOST else name

    def __str__(self) -> str:
        """Returns the full spelling."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"


def readings(text: str) -> tuple[ModelName, ...]:
    """Returns every model that some version of Ollama takes this spelling for; nothing where it is no name.

    There is more than one only for the suffixes `:local` and `:cloud`: a source since 0.17, a tag before.  The first is
    what today's Ollama takes, but for a cloud model, which keeps its suffix to be told from the local one.
    """
    # Before anything is kept: a client may send a name of megabytes.
    return readings_of(text.strip().lower()) if len(text) <= MAX_NAME and text.isascii() else ()


@lru_cache(maxsize=1024)
def readings_of(plain: str) -> tuple[ModelName, ...]:
    """Returns the same of a plain spelling."""
    name, _, source = plain.rpartition(":")
    found = [parse(plain, cloud=plain.endswith("-cloud") and ":" in plain)]
    if source == "local" and name:
        found.insert(0, parse(name))
    if source == "cloud" and name:
        found.append(parse(name, cloud=True))
    return tuple(name for name in found if name)


def parse(plain: str, *, cloud: bool = False) -> ModelName | None:
    """Reads `[scheme://][host/][namespace/]model[:tag]`, lower case; None where it is no name."""
    _, _, rest = plain.rpartition("://")
    path, slash, last = rest.rpartition("/")
    model, colon, tag = last.partition(":")
    host, between, namespace = path.rpartition("/")
    name = ModelName(
        host if between else HOST,
        namespace if slash else NAMESPACE,
        model,
        tag if colon else TAG,
        cloud or tag == "cloud" or tag.endswith("-cloud"),
    )
    fits = (
        ADDRESS.fullmatch(name.host)
        and PART.fullmatch(name.namespace)
        and DOTTED.fullmatch(name.model)
        and DOTTED.fullmatch(name.tag)
    )
    return name if fits else None


def same(one: str, other: str) -> bool:
    """Tells whether two spellings name one model."""
    return bool(set(readings(one)) & set(readings(other)))


def matches(name: ModelName, pattern: str) -> bool:
    """Tells whether a pattern such as `mistral`, `mistral:*` or `me/*` covers a model.

    A pattern without a tag means `latest`, as a name does; `*` stands for anything.
    """
    wanted = pattern.strip().lower()
    if wanted == "*":
        return True
    if ":" not in wanted.rpartition("/")[2] and not wanted.endswith("*"):
        wanted += f":{TAG}"
    return fnmatchcase(name.short, wanted) or fnmatchcase(str(name), wanted)
