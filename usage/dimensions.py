"""What can be limited, and a limit."""

from __future__ import annotations

from typing import NamedTuple

REQUESTS, TOKENS, CONCURRENCY = "requests_per_minute", "tokens_per_minute", "concurrency"
DAY, MONTH, TOTAL = "tokens_per_day", "tokens_per_month", "tokens_total"
OUTPUT = "output_tokens"
DIMENSIONS = (REQUESTS, TOKENS, CONCURRENCY, DAY, MONTH, TOTAL, OUTPUT)
BUDGETS = (DAY, MONTH, TOTAL)


class Allowance(NamedTuple):
    """How much of one dimension one subject may have; a subject is `key:…`, `owner:…` or `team:…`."""

    subject: str
    dimension: str
    amount: int
