"""A house's made-up past, for screenshots and for measuring: `python -m tests.usage.fill --days 365 --records 1000000`.

It fills the database that DATABASE_URL names, which must be migrated, and is the same for the same numbers.
"""

from __future__ import annotations

import argparse
import math
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime

import django

DAY = 86_400.0
MODELS = ["llama3.2", "qwen3:8b", "mistral", "gemma3:12b", "nomic-embed-text", "deepseek-r1:32b"]
ROUTES = ["POST /api/chat", "POST /v1/chat/completions", "POST /v1/messages", "POST /api/embed", "POST /api/generate"]
ENDS = ["done", "left", "failed", "refused", "cut", "length", "lost"]
END_WEIGHTS = [930, 30, 10, 12, 6, 10, 2]
NAMES = [
    "Ana's laptop",
    "batch jobs",
    "support bot",
    "Ben",
    "CI",
    "notebook server",
    "Chloé",
    "search index",
    "demo",
    "Dmitri",
]
TEAMS = ["", "research", "support", "platform"]
PORTION = 5000


def keys(count: int) -> list[str]:
    """Issues keys and gives the first ones budgets; returns their ids, those used most first."""
    from apikeys.models import Allowance, Key

    made = []
    for number in range(count):
        label = NAMES[number] if number < len(NAMES) else f"key {number:04}"
        key = Key(label=label, team=TEAMS[number % len(TEAMS)])
        key.give_secret()
        made.append(key)
    Key.objects.bulk_create(made, batch_size=500)
    for key in made[:5]:
        Allowance.objects.create(kind="key", subject=key.key_id, dimension="tokens_per_month", amount=3_000_000)
    return [key.key_id for key in made]


def calls(ids: list[str], count: int, days: float, until: float, seed: int = 7) -> Iterator[dict[str, object]]:
    """Makes calls up as the journal tells of them, in the order of their ends; busier by day than by night."""
    chance = random.Random(seed)  # noqa: S311 -- it makes no secrets
    weights = [1 / (number + 1) ** 0.8 for number in range(len(ids))]
    habits = {key: (chance.sample(MODELS, 2), chance.sample(ROUTES, 2)) for key in ids}
    teams = {key: TEAMS[number % len(TEAMS)] for number, key in enumerate(ids)}
    owners = chance.choices(ids, weights, k=count)
    for number, at in enumerate(sorted(moments(chance, count, days, until))):
        key = owners[number]
        models, routes = habits[key]
        ended = chance.choices(ENDS, END_WEIGHTS)[0]
        first_byte = chance.lognormvariate(-1.0, 0.9)
        written = int(chance.lognormvariate(5, 0.9))
        total = first_byte + written / 40
        yield {
            "event": "ended",
            "call": f"{number:024x}",
            "at": at,
            "key": key,
            "owner": None,
            "team": teams[key],
            "model": models[chance.random() < 0.2],
            "route": routes[chance.random() < 0.2],
            "dialect": "ollama",
            "request_id": f"{chance.getrandbits(96):024x}",
            "status": {"failed": 502, "refused": 400, "left": 499}.get(ended, 200),
            "ended": ended,
            "prompt_tokens": (prompt := int(chance.lognormvariate(5.5, 1))),
            "cached_tokens": prompt * (number % 4) // 4 or None,
            "completion_tokens": written if ended in ("done", "length") else written // 3,
            "estimated": ended in ("left", "cut", "lost"),
            "load_duration": 2_000_000_000 if chance.random() < 0.02 else 1_000_000,
            "prompt_eval_duration": int(first_byte * 0.8e9),
            "eval_duration": int(total * 0.9e9),
            "wait": 0.0,
            "first_byte": first_byte if ended != "failed" else None,
            "total": total,
            "streamed": chance.random() < 0.8,
            "upstream": "ollama",
            "client": "",
        }


def moments(chance: random.Random, count: int, days: float, until: float) -> Iterator[float]:
    """Returns moments of the past: more of late, more by day, fewer at weekends."""
    left = count
    while left:
        at = until - days * DAY * chance.random() ** 1.3
        moment = datetime.fromtimestamp(at, UTC)
        busy = 0.25 + 0.75 * math.exp(-(((moment.hour + moment.minute / 60) - 14) ** 2) / 18)
        if chance.random() < busy * (0.35 if moment.weekday() > 4 else 1.0):
            left -= 1
            yield at


def main() -> None:
    """Fills the database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=30)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--keys", type=int, default=10)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    django.setup()
    import orjson
    from django.db import transaction

    from usage.applying import store
    from usage.lines import Record, read

    until = datetime.now(UTC).timestamp()
    portion: list[Record] = []
    ids = keys(options.keys)
    for number, call in enumerate(calls(ids, options.records, options.days, until), 1):
        found = read(orjson.dumps(call))
        assert isinstance(found, Record)
        portion.append(found)
        if len(portion) == PORTION or number == options.records:
            with transaction.atomic():
                store(portion)
            portion = []


if __name__ == "__main__":
    main()
