"""What the API's schema says of usage."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from usage.asking import DAYS, LARGEST_PAGE, PAGE
from usage.reports import COLUMNS, Numbers, of

NUMBERS = of(Numbers(12, 0, 1, 0, 0, 0, 840, 3210, 512, 0, 41.7))
EXAMPLE: dict[str, Any] = {
    "since": "2026-11-22",
    "until": "2026-11-23",
    "by": ["day", "model"],
    "usage": [{"day": "2026-11-23", "model": "mistral", **NUMBERS}],
    "total": NUMBERS,
    "limits": [
        {"of": "key", "dimension": "tokens_per_day", "limit": 100_000, "left": 95_950, "resets_in_seconds": 32_400.0}
    ],
    "next": None,
}
WORDS = {
    "refused": "Calls that the gateway or Ollama said no to",
    "failed": "Calls on which Ollama or the gateway failed",
    "left": "Calls whose client went away",
    "cut": "Calls that the gateway ended: a time-out, a limit, a revoked key",
    "lost": "Calls that ended with their server; charged what they can have written",
    "cached_tokens": "Prompt tokens that Ollama took from its cache; they are among prompt_tokens",
    "estimated_tokens": "Tokens that are an estimate, since Ollama did not come to count them",
    "gpu_seconds": "Time that Ollama spent on loading the model, reading prompts and writing answers",
    "errors": "failed, cut and lost together",
}
INTEGER = {"type": "integer"}
TEXT = {"type": "string"}


def numbers() -> dict[str, Any]:
    """Describes the numbers of a line."""
    return {
        name: {**({"type": "number"} if isinstance(value, float) else INTEGER), "description": WORDS.get(name, "")}
        for name, value in NUMBERS.items()
    }


def schema() -> dict[str, Any]:
    """Describes the answer."""
    limit = {
        "of": TEXT,
        "dimension": TEXT,
        "limit": INTEGER,
        "left": INTEGER,
        "resets_in_seconds": {"type": "number", "nullable": True},
    }
    about = {name: INTEGER if name == "owner" else TEXT for name in (*COLUMNS, "label", "owner_name")}
    return {
        "type": "object",
        "properties": {
            "since": TEXT,
            "until": TEXT,
            "by": {"type": "array", "items": TEXT},
            "usage": {"type": "array", "items": {"type": "object", "properties": {**about, **numbers()}}},
            "total": {"type": "object", "properties": numbers()},
            "limits": {"type": "array", "items": {"type": "object", "properties": limit}},
            "next": {"type": "string", "nullable": True, "description": "The path of the lines that follow"},
        },
    }


def error(says: str) -> OpenApiResponse:
    """Describes a refusal."""
    return OpenApiResponse({"type": "object", "properties": {"error": TEXT, "message": TEXT}}, says)


def parameter(name: str, says: str, kind: type = str, *, example: Any = None) -> OpenApiParameter:
    """Describes a parameter of the query."""
    examples = [OpenApiExample("For example", example)] if example is not None else []
    return OpenApiParameter(name, kind, description=says, examples=examples)


DESCRIBED: dict[str, Any] = {
    "operation_id": "get_api_v1_usage",
    "summary": "What was used, and what is left",
    "description": (
        "The key's own usage by day and model, and its limits with what is left of them. Days are UTC. A key with the "
        "scope `keys` sees that of others: `key=<id>` for one, `key=all` for all. Figures follow a call within about "
        "a second. An answer that is longer than a page names the `next` one, in a `Link` header too."
    ),
    "tags": ["Keys and usage"],
    "parameters": [
        parameter("since", f"First day, like 2026-11-01; {DAYS} days to `until` if not given", example="2026-11-01"),
        parameter("until", "Last day, included; today if not given", example="2099-12-31"),
        parameter("by", f"What to tell apart, separated by commas: {', '.join(COLUMNS)}", example="day,model"),
        parameter("key", "A key's id, or `all`; needs the scope `keys`", example="all"),
        parameter("owner", "Only keys of this user; needs the scope `keys`", int, example=1),
        parameter("team", "Only keys of this team; needs the scope `keys`", example="research"),
        parameter("model", "Only this model", example="mistral"),
        parameter("route", "Only this route, like `POST /api/chat`", example="POST /api/chat"),
        parameter("format", "`json` or `csv`", example="json"),
        parameter(
            "page_size", f"Most lines of one answer, {PAGE} if not given, {LARGEST_PAGE} at most", int, example=100
        ),
        parameter("after", "Where a page begins: take it from `next`"),
    ],
    "responses": {
        (200, "application/json"): OpenApiResponse(schema(), "The report."),
        (200, "text/csv"): OpenApiResponse({"type": "string"}, "The lines alone."),
        400: error("The query is not understood: the message says what to write."),
        401: error("No key, or one that is not valid."),
        403: error("The key may see its own usage only."),
        429: error("Too many invalid keys came from this address."),
        503: error("The database is away."),
    },
    "examples": [
        OpenApiExample("usage", EXAMPLE, media_type="application/json", response_only=True, status_codes=["200"])
    ],
}

METRICS: dict[str, Any] = {
    "operation_id": "get_metrics",
    "summary": "Metrics for Prometheus",
    "description": "Counters and gauges in Prometheus' text format. Needs a key with the scope `metrics`, or an "
    "address that the operator has allowed.",
    "tags": ["Keys and usage"],
    "responses": {
        (200, "text/plain"): OpenApiResponse({"type": "string"}, "One sample a line."),
        401: error("No key, or one that is not valid."),
        403: error("The key lacks the scope `metrics`."),
        429: error("Too many invalid keys came from this address."),
        503: error("The database is away."),
    },
}
