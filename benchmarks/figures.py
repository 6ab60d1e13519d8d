"""What the plot and the short table show: figures of a case for each server, and how to come by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.rows import added

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.rows import Row

    Values = Callable[[Row, Row], Sequence[float]]

SMALL_REQUEST = "OpenAI chat, small JSON, 16 connections"
CHUNKS = "OpenAI chat, stream, a chunk each 2 ms"
BEGINNING = "OpenAI chat, stream's beginning, 1 connection"
IMAGE = "OpenAI chat, 1 MB image, 1 connection"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is shown: of which case, which values of a row beside the stub's, with how many digits.

    `is_added` tells that they are what is added to a time, in milliseconds.
    """

    title: str
    case: str
    values: Values
    digits: int
    is_added: bool = False


def costs(row: Row, _stub: Row) -> Sequence[float]:
    """Returns what a request or a chunk costs, in microseconds of CPU time."""
    return row.costs


def adding(name: str) -> Values:
    """Returns what tells how many milliseconds a row adds to one of the stub's times."""
    return lambda row, stub: added(row, stub, name)
