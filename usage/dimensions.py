"""What can be limited."""

from __future__ import annotations

REQUESTS, TOKENS, CONCURRENCY = "requests_per_minute", "tokens_per_minute", "concurrency"
DAY, MONTH, TOTAL = "tokens_per_day", "tokens_per_month", "tokens_total"
OUTPUT = "output_tokens"
DIMENSIONS = (REQUESTS, TOKENS, CONCURRENCY, DAY, MONTH, TOTAL, OUTPUT)
BUDGETS = (DAY, MONTH, TOTAL)
