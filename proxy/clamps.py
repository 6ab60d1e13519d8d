"""Keeps a request from changing the box for everybody: what it may not set is dropped or lowered, and said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeGuard

# Ollama reloads the model for everyone when one of these differs from what it is loaded with.
LOAD_OPTIONS = frozenset(
    {
        *("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "numa", "low_vram", "draft_num_predict"),
        *("use_mmap", "use_mlock", "f16_kv", "logits_all", "vocab_only"),
        *("rope_frequency_base", "rope_frequency_scale"),
    }
)
# These do so, or show the model's hidden prompt, as fields of their own.
LOAD_FIELDS = ("shift", "_debug_render_only")

DURATION = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clamps:
    """What a key without the `manage` scope may set; None for "not at all", of `output_tokens` for "no cap"."""

    num_ctx: int | None = None
    keep_alive: float | None = None  # seconds
    output_tokens: int | None = None
    options: frozenset[str] = frozenset()

    def apply(self, payload: dict[str, Any]) -> list[str]:
        """Drops and lowers in place; returns what was changed, for people."""
        changed: list[str] = []
        for name in LOAD_FIELDS:
            if payload.get(name) is not None and name not in self.options:
                del payload[name]
                changed.append(f"{name} dropped")
        if payload.get("keep_alive") is not None:
            self.clamp_keep_alive(payload, changed)
        options = payload.get("options")
        if isinstance(options, dict):
            for name in LOAD_OPTIONS & options.keys() - self.options:
                self.clamp_option(options, name, changed)
        return changed

    def clamp_keep_alive(self, payload: dict[str, Any], changed: list[str]) -> None:
        """Drops `keep_alive`, or lowers it."""
        longest, seconds = self.keep_alive, seconds_of(payload["keep_alive"])
        if longest is None or not seconds:
            del payload["keep_alive"]
            changed.append("keep_alive dropped")
        elif seconds < 0 or seconds > longest:
            payload["keep_alive"] = longest
            changed.append(f"keep_alive={longest:g}")

    def clamp_option(self, options: dict[str, Any], name: str, changed: list[str]) -> None:
        """Drops an option, or lowers the one that has a limit."""
        value = options[name]
        if name == "num_ctx" and self.num_ctx is not None and is_number(value) and value > 0:
            if value > self.num_ctx:
                options[name] = self.num_ctx
                changed.append(f"options.num_ctx={self.num_ctx}")
        else:
            del options[name]
            changed.append(f"options.{name} dropped")

    def cap(self, payload: dict[str, Any], field: str | None) -> list[str]:
        """Lowers the most tokens that an answer may have; returns what was changed."""
        limit = self.output_tokens
        if limit is None or field is None:
            return []
        holder = payload
        if field == "num_predict":
            holder = payload["options"] = payload.get("options") or {}
        asked = holder.get(field)
        if is_number(asked) and 0 < asked <= limit:
            return []
        holder[field] = limit
        return [f"{'options.' if holder is not payload else ''}{field}={limit}"]


def is_number(value: object) -> TypeGuard[int | float]:
    """Tells whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def seconds_of(keep_alive: object) -> float | None:
    """Reads a `keep_alive` as Ollama does: a number of seconds, or a Go duration; None where it is neither."""
    if is_number(keep_alive):
        return float(keep_alive)
    if not isinstance(keep_alive, str):
        return None
    sign = -1.0 if keep_alive.startswith("-") else 1.0
    text = keep_alive.lstrip("+-")
    if text == "0":
        return 0.0
    parts = DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sign * sum(float(number) * UNITS[unit] for number, unit in parts)
