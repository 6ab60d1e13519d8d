"""Which models are loaded, and with which context window: loading, reloading and truncating as Ollama does.

A model is loaded with the window that the request asks for, else with its own default, and never with more than it was
trained for.  A request whose window differs from the loaded one, in either direction, reloads the model for everybody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.stub.errors import TOO_LONG
from benchmarks.stub.refusal import Refusal

if TYPE_CHECKING:
    from benchmarks.stub.names import Name

# What the stub's own models are loaded with by default, as on a small machine, and others, which benchmarks ask for.
SMALL_WINDOW, LARGE_WINDOW = 4096, 131_072
# What a model's name says of it: `stub-trained32768`, `stub-num8192` for a Modelfile with `PARAMETER num_ctx 8192`.
TRAINED, PARAMETER = re.compile(r"trained(\d+)"), re.compile(r"num(\d+)")


def default_window(name: Name) -> int:
    """Returns the window that a model gets which nothing is said of."""
    return SMALL_WINDOW if name.model.lower().startswith("stub") else LARGE_WINDOW


def trained_window(name: Name) -> int:
    """Returns the window that a model was trained for."""
    found = TRAINED.search(name.model.lower())
    return int(found[1]) if found else default_window(name)


def parameter_window(name: Name) -> int | None:
    """Returns the window that a model's Modelfile sets."""
    found = PARAMETER.search(name.model.lower())
    return int(found[1]) if found else None


@dataclass(slots=True)
class Loaded:
    """The loaded models: by short name, their windows, and how often each was loaded."""

    windows: dict[str, int] = field(default_factory=dict)
    loads: dict[str, int] = field(default_factory=dict)

    def use(self, name: Name, asked: int | None) -> tuple[int, bool]:
        """Returns the window in which a request runs, and whether it loads the model (anew)."""
        wanted = asked if asked is not None and asked > 0 else parameter_window(name) or default_window(name)
        window = min(wanted, trained_window(name))
        if self.windows.get(name.short.lower()) == window:
            return window, False
        self.put(name.short.lower(), window)
        return window, True

    def put(self, short: str, window: int | None) -> None:
        """Loads a model with a window, None for unloading it."""
        self.windows.pop(short, None)
        if window is not None:
            self.windows[short] = window
            self.loads[short] = self.loads.get(short, 0) + 1


def fitted(tokens: int, window: int, *, truncate: bool | None) -> int:
    """Returns how many tokens of a prompt are read; raises Refusal (400) where it must not be truncated."""
    if tokens <= window:
        return tokens
    if truncate is False:
        raise Refusal(400, TOO_LONG)
    return window
