"""Keeps a request from changing the box for everybody: what it may not set is dropped or lowered, and said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

from proxy.caps import cap_of, set_cap

if TYPE_CHECKING:
    from collections.abc import Collection

# Ollama reloads the model for everyone when one of these differs from what it is loaded with; num_ctx does so too, and
# has rules of its own (proxy/context_window.py).
LOAD_OPTIONS = frozenset(
    {
        *("num_batch", "num_gpu", "main_gpu", "num_thread", "numa", "low_vram", "draft_num_predict"),
        *("runner", "use_mmap", "use_mlock", "f16_kv", "logits_all", "vocab_only"),
        *("rope_frequency_base", "rope_frequency_scale"),
    }
)
# These do so, or choose the engine, or show the model's hidden prompt, as fields of their own.
LOAD_FIELDS = ("shift", "runner", "_debug_render_only")

# A shorter keep_alive, in seconds, is as good as an unload.
SHORTEST = 1.0

# A Go duration's parts; no digit can belong to two of them, so that no text takes long to refuse.
DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
LONGEST_DURATION = 64
NANOSECOND = 1e-9
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamps:
    """What a key without the `manage` scope may set; None for "not at all", of `output_tokens` for "no cap"."""

    keep_alive: float | None = None  # seconds
    output_tokens: int | None = None
    options: frozenset[str] = frozenset()

    def apply(self, payload: dict[str, Any]) -> list[str]:
        """Drops and lowers in place; returns what was changed, for people."""
        changed = drop(payload, [name for name in LOAD_FIELDS if name not in self.options])
        if payload.get("keep_alive") is not None:
            self.clamp_keep_alive(payload, changed)
        options = payload.get("options")
        if isinstance(options, dict):
            for name in sorted(LOAD_OPTIONS & options.keys() - self.options):
                del options[name]
                changed.append(f"options.{name} dropped")
        return changed

    def clamp_keep_alive(self, payload: dict[str, Any], changed: list[str]) -> None:
        """Drops `keep_alive`, or lowers it; what is all but zero would unload the model under everybody's hands."""
        longest, seconds = self.keep_alive or 0.0, seconds_of(payload["keep_alive"])
        if longest < SHORTEST or seconds is None or 0 <= seconds < SHORTEST:
            changed += drop(payload, ["keep_alive"])
        elif seconds < 0 or seconds > longest:
            payload["keep_alive"] = longest
            changed.append(f"keep_alive={longest:.12g}")

    def cap(self, payload: dict[str, Any], field: str | None) -> list[str]:
        """Lowers the most tokens that an answer may have; returns what was changed."""
        limit = self.output_tokens
        if limit is None or field is None or (cap_of(payload, field) or limit + 1) <= limit:
            return []
        return [set_cap(payload, field, limit)]


def drop(payload: dict[str, Any], names: Collection[str]) -> list[str]:
    """Drops fields that are set; returns what was dropped, for people."""
    changed: list[str] = []
    if payload.keys().isdisjoint(names):
        return changed
    for name in names:
        if payload.get(name) is not None:
            del payload[name]
            changed.append(f"{name} dropped")
    return changed


def is_number(value: object) -> TypeGuard[int | float]:
    """Tells whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def seconds_of(keep_alive: object) -> float | None:
    """Reads a `keep_alive` as Ollama does: a number of seconds, or a Go duration; None where it is neither.

    Ollama counts whole nanoseconds: what is less is zero.
    """
    if is_number(keep_alive):
        return whole_nanoseconds(keep_alive)
    if not isinstance(keep_alive, str) or len(keep_alive) > LONGEST_DURATION:
        return None
    sign = -1.0 if keep_alive.startswith("-") else 1.0
    text = keep_alive.lstrip("+-")
    if text == "0":
        return 0.0
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return whole_nanoseconds(sign * sum(float(number) * UNITS[unit] for number, unit in parts))


def whole_nanoseconds(seconds: float) -> float:
    """Returns a time without what Go's durations can't hold."""
    return 0.0 if abs(seconds) < NANOSECOND else float(seconds)
