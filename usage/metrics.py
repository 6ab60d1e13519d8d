"""Counts what passes, for /metrics: a few additions a finished call, in memory, since the start of this process.

All labels come from small sets: routes of the table, statuses, ways to end, reasons to refuse.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

# Upper bounds in seconds: from an answer that was waiting to a long chat on a slow machine.
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# Whatever misuses these counters can't fill the memory with names.
MOST_LABELS = 2000
OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Histogram:
    """How many durations fell under each of BOUNDS, and their sum."""

    __slots__ = ("buckets", "sum")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """Counts one."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds


class Metrics:
    """The counters of this process, for its event loop alone."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.cached: defaultdict[tuple[str], int] = defaultdict(int)
        self.refusals: defaultdict[tuple[str], int] = defaultdict(int)
        self.upstream_errors: defaultdict[tuple[str], int] = defaultdict(int)
        self.lost_counters: defaultdict[tuple[str], int] = defaultdict(int)
        self.first_byte: defaultdict[tuple[str], Histogram] = defaultdict(Histogram)
        self.total: defaultdict[tuple[str], Histogram] = defaultdict(Histogram)
        # Whoever holds calls that are not counted yet counts them then; on the event loop.
        self.before_reading: Callable[[], None] = lambda: None
        # What is asked when somebody reads: name, meaning and value of a gauge.
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}

    def count(self, facts: Mapping[str, Any]) -> None:
        """Counts a call that is over.

        Takes what the journal and the log say of it: `route` (`POST /api/chat`), `status`, `ended`, `prompt_tokens`,
        `completion_tokens` and `cached_tokens` or None, `first_byte` in seconds or None, `total` in seconds.
        """
        route = of_table(facts["route"])
        values = (route, str(facts["status"]), facts["ended"])
        if values not in self.requests and len(self.requests) >= MOST_LABELS:
            route, values = OTHER, (OTHER, OTHER, OTHER)
        self.requests[values] += 1
        self.total[route,].observe(facts["total"])
        if facts["first_byte"] is not None:
            self.first_byte[route,].observe(facts["first_byte"])
        if facts["prompt_tokens"]:
            self.tokens[route, "prompt"] += facts["prompt_tokens"]
        if facts["completion_tokens"]:
            self.tokens[route, "completion"] += facts["completion_tokens"]
        if facts.get("cached_tokens"):
            self.cached[route,] += facts["cached_tokens"]

    def refuse(self, reason: str) -> None:
        """Counts a request that was refused, by a word such as `rate_limited`."""
        self.bump(self.refusals, reason)

    def fail(self, reason: str) -> None:
        """Counts a failure of Ollama, by a word such as `upstream_timeout`."""
        self.bump(self.upstream_errors, reason)

    @staticmethod
    def bump(counter: defaultdict[tuple[str], int], reason: str) -> None:
        """Counts one of few reasons."""
        known = (reason,) in counter or len(counter) < MOST_LABELS
        counter[(reason if known else OTHER),] += 1

    def gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Lets a number be read whenever somebody looks."""
        self.gauges[name] = (meaning, value)

    def lines(self) -> Iterator[str]:
        """Returns all of it in Prometheus' text format, version 0.0.4."""
        self.before_reading()
        yield from counter("requests", "Calls that are over", ("route", "status", "ended"), self.requests)
        yield from counter("tokens", "Tokens read and written", ("route", "kind"), self.tokens)
        yield from counter("cached_tokens", "Prompt tokens taken from Ollama's cache", ("route",), self.cached)
        yield from counter("refusals", "Requests that were refused", ("reason",), self.refusals)
        yield from counter("upstream_errors", "Failures of Ollama", ("reason",), self.upstream_errors)
        yield from counter(
            "lost_counters", "Times that Redis lost the counters of shared limits", ("reason",), self.lost_counters
        )
        yield from histogram("first_byte_seconds", "Time to an answer's first byte", self.first_byte)
        yield from histogram("request_seconds", "Time to a call's end", self.total)
        for name, (meaning, value) in self.gauges.items():
            yield from head(name, meaning, "gauge")
            yield f"ollama_gateway_{name} {number(value())}"


def of_table(route: str) -> str:
    """Returns a route, or what stands for all that a client may make up."""
    method, _, path = route.partition(" ")
    return route if method in METHODS and path.startswith("/") else OTHER


def head(name: str, meaning: str, kind: str) -> Iterable[str]:
    """Returns the two lines that introduce a metric."""
    return f"# HELP ollama_gateway_{name} {meaning}.", f"# TYPE ollama_gateway_{name} {kind}"


def counter(name: str, meaning: str, names: tuple[str, ...], counts: dict[Any, int]) -> Iterator[str]:
    """Returns the lines of a counter whose values have these labels."""
    yield from head(f"{name}_total", meaning, "counter")
    for values, count in sorted(counts.items()):
        yield f"ollama_gateway_{name}_total{{{labels(names, values)}}} {count}"


def histogram(name: str, meaning: str, found: dict[tuple[str], Histogram]) -> Iterator[str]:
    """Returns the lines of a histogram for each route."""
    yield from head(name, meaning, "histogram")
    for route, each in sorted(found.items()):
        whose, passed = labels(("route",), route), 0
        for bound, count in zip((*map(number, BOUNDS), "+Inf"), each.buckets, strict=True):
            passed += count
            yield f'ollama_gateway_{name}_bucket{{{whose},le="{bound}"}} {passed}'
        yield f"ollama_gateway_{name}_sum{{{whose}}} {number(each.sum)}"
        yield f"ollama_gateway_{name}_count{{{whose}}} {passed}"


def labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Returns labels as they stand between braces."""
    return ",".join(f'{name}="{escaped(value)}"' for name, value in zip(names, values, strict=True))


def escaped(value: str) -> str:
    """Returns a label's value with the three characters escaped that would end it."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def number(value: float) -> str:
    """Returns a number as it is written."""
    return repr(value)


metrics = Metrics()
