"""What people call the keys and owners that a report is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User

from apikeys.models import Key

# How many a statement may name: SQLite counts its parameters.
PORTION = 500


def with_names(rows: list[dict[str, Any]], by: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a report's rows with the labels of its keys and the names of its owners."""
    if "key" in by:
        named = labels({row["key"] for row in rows})
        rows = [{"key": row["key"], "label": named.get(row["key"], ""), **row} for row in rows]
    if "owner" in by:
        users = owners({row["owner"] for row in rows})
        rows = [{"owner": row["owner"], "owner_name": users.get(row["owner"], ""), **row} for row in rows]
    return rows


def labels(ids: set[str]) -> dict[str, str]:
    """Returns the labels of keys, by their ids."""
    found: dict[str, str] = {}
    for part in portions(sorted(ids)):
        found.update(Key.objects.filter(key_id__in=part).values_list("key_id", "label"))
    return found


def owners(ids: set[int]) -> dict[int, str]:
    """Returns the names of users, by their numbers."""
    found: dict[int, str] = {}
    for part in portions(sorted(ids)):
        found.update(User.objects.filter(pk__in=part).values_list("pk", "username"))
    return found


def portions(ids: list[Any]) -> list[list[Any]]:
    """Returns a list in parts that a statement can name."""
    return [ids[start : start + PORTION] for start in range(0, len(ids), PORTION)]
