"""Counts what passes, for /metrics: a few additions a finished call, in memory, since the start of this process.

All labels come from small sets: routes of the table, statuses, ways to end, reasons to refuse.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from usage.process_metrics import process_samples

# Upper bounds in seconds: from an answer that was waiting to a long chat on a slow machine.
BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
# Whatever misuses these counters can't fill the memory with names.
MOST_LABELS = 2000
# So many models have series of their own: the first ones that are served.
MOST_MODELS = 50
LOWEST_ERROR = 400
PREFIX = "ollama_gateway_"
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


class Reading(NamedTuple):
    """A number that is read whenever somebody looks."""

    meaning: str
    value: Callable[[], float]
    kind: str
    labels: str = ""


async def nothing() -> None:
    """Awaits nothing."""


class Metrics:
    """The counters of this process, for its event loop alone."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.cached: defaultdict[tuple[str], int] = defaultdict(int)
        self.refusals: defaultdict[tuple[str], int] = defaultdict(int)
        self.models: set[str] = set()
        self.model_requests: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.model_tokens: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.model_total: defaultdict[tuple[str], Histogram] = defaultdict(Histogram)
        self.upstream_errors: defaultdict[tuple[str], int] = defaultdict(int)
        self.lost_counters: defaultdict[tuple[str], int] = defaultdict(int)
        self.first_byte: defaultdict[tuple[str], Histogram] = defaultdict(Histogram)
        self.total: defaultdict[tuple[str], Histogram] = defaultdict(Histogram)
        # Whoever holds calls that are not counted yet counts them then; on the event loop.
        self.before_reading: Callable[[], None] = lambda: None
        # What takes time to find out is found out then, before that.
        self.prepare: Callable[[], Awaitable[object]] = nothing
        # What is asked when somebody reads.
        self.readings: dict[str, Reading] = {}

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
        if facts.get("canonical"):
            self.count_model(facts["canonical"], facts)

    def count_model(self, model: str, facts: Mapping[str, Any]) -> None:
        """Counts a call under its model, if that was ever served; names that clients make up are `other`."""
        if model not in self.models:
            if facts["status"] < LOWEST_ERROR and len(self.models) < MOST_MODELS:
                self.models.add(model)
            else:
                model = OTHER
        self.model_requests[model, facts["ended"]] += 1
        self.model_total[model,].observe(facts["total"])
        for kind in ("prompt", "completion", "cached"):
            tokens = facts.get(f"{kind}_tokens")
            if tokens:
                self.model_tokens[model, kind] += tokens

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

    def gauge(
        self, name: str, meaning: str, value: Callable[[], float], labelled: Mapping[str, str] | None = None
    ) -> None:
        """Lets a number be read whenever somebody looks."""
        self.readings[name] = Reading(meaning, value, "gauge", braces(labelled))

    def counter(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Lets a number be read that only grows; its name ends in `_total`."""
        self.readings[name] = Reading(meaning, value, "counter")

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
        yield from counter("model_requests", "Calls that are over", ("model", "ended"), self.model_requests)
        yield from counter("model_tokens", "Tokens by model", ("model", "kind"), self.model_tokens)
        yield from histogram("model_request_seconds", "Time to a call's end by model", self.model_total, "model")
        for name, (meaning, value, kind, labelled) in self.readings.items():
            yield from head(PREFIX + name, meaning, kind)
            yield f"{PREFIX}{name}{labelled} {number(value())}"
        for sample in process_samples():
            yield from head(sample.name, sample.meaning, sample.kind)
            yield f"{sample.name} {number(sample.value)}"


def of_table(route: str) -> str:
    """Returns a route, or what stands for all that a client may make up."""
    method, _, path = route.partition(" ")
    return route if method in METHODS and path.startswith("/") else OTHER


def head(name: str, meaning: str, kind: str) -> Iterable[str]:
    """Returns the two lines that introduce a metric."""
    return f"# HELP {name} {meaning}.", f"# TYPE {name} {kind}"


def counter(name: str, meaning: str, names: tuple[str, ...], counts: dict[Any, int]) -> Iterator[str]:
    """Returns the lines of a counter whose values have these labels."""
    yield from head(f"{PREFIX}{name}_total", meaning, "counter")
    for values, count in sorted(counts.items()):
        yield f"{PREFIX}{name}_total{braces(dict(zip(names, values, strict=True)))} {count}"


def histogram(name: str, meaning: str, found: dict[tuple[str], Histogram], label: str = "route") -> Iterator[str]:
    """Returns the lines of a histogram for each value of a label."""
    yield from head(PREFIX + name, meaning, "histogram")
    for value, each in sorted(found.items(), key=lambda item: item[0]):
        whose, passed = labels((label,), value), 0
        for bound, count in zip((*map(number, BOUNDS), "+Inf"), each.buckets, strict=True):
            passed += count
            yield f'{PREFIX}{name}_bucket{{{whose},le="{bound}"}} {passed}'
        yield f"{PREFIX}{name}_sum{{{whose}}} {number(each.sum)}"
        yield f"{PREFIX}{name}_count{{{whose}}} {passed}"


def braces(values: Mapping[str, str] | None) -> str:
    """Returns labels as they stand behind a name, braces included; nothing for none."""
    return f"{{{labels(tuple(values), tuple(values.values()))}}}" if values else ""


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
