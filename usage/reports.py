"""What can be asked about usage, and what an answer is made of: days, keys, owners, teams, models, routes, and sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from django.db.models import Sum

# What usage can be told apart by, and the column that says it.
COLUMNS = {"day": "start", "key": "key", "owner": "owner", "team": "team", "model": "model", "route": "route"}
# Whoever asks by one of these wants the keys' own rows; everybody's sums are enough for the others.
OF_KEYS = frozenset({"key", "owner", "team"})
COUNTED = (
    "requests",
    "refused",
    "failed",
    "left",
    "cut",
    "lost",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "estimated_tokens",
)
SUMS = {**{name: Sum(name) for name in COUNTED}, "gpu_nanoseconds": Sum("gpu_nanoseconds")}
NANO = 1_000_000_000


class Numbers(NamedTuple):
    """What some calls come to: how many, how many of them ended badly in which way, and what they cost."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    left: int = 0
    cut: int = 0
    lost: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated_tokens: int = 0
    gpu_seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Returns the tokens read and written."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def errors(self) -> int:
        """Returns the calls that failed through no fault of their client."""
        return self.failed + self.cut + self.lost


class Line(NamedTuple):
    """One line of a report: what it is about, in the order of the question's `by`, and its numbers."""

    about: tuple[Any, ...]
    numbers: Numbers


@dataclass(frozen=True, slots=True)
class Question:
    """What somebody wants to know: the days from `since` to `until`, both included, told apart by `by`.

    `key` and its like ask for one key's (owner's, team's, model's) usage only.
    """

    since: date
    until: date
    by: Sequence[str] = ("day", "model")
    only: dict[str, Any] = field(default_factory=dict)
    # Of many keys those from the first to the last, in the order of their ids; all if empty.
    first_key: str = ""
    last_key: str = ""


def numbers(sums: Sequence[int | None]) -> Numbers:
    """Returns the numbers of a row's sums."""
    *counted, nanoseconds = (value or 0 for value in sums)
    return Numbers._make([*counted, round(nanoseconds / NANO, 3)])


def as_dict(line: Line, by: Sequence[str]) -> dict[str, Any]:
    """Returns a line as it is written in JSON and CSV."""
    about = dict(zip(by, map(shown, line.about), strict=True))
    return about | of(line.numbers)


def of(numbers: Numbers) -> dict[str, Any]:
    """Returns numbers as they are written in JSON and CSV."""
    return {**numbers._asdict(), "tokens": numbers.tokens, "errors": numbers.errors}


def shown(value: Any) -> Any:
    """Returns what a line is about as it is written: days as `2026-11-23`."""
    return value.isoformat() if isinstance(value, date) else value


FIELDS = tuple(of(Numbers()))
