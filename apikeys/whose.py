"""Whose limits are meant, where they are an owner's or a team's: `owner:ana`, `team:research`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.contrib.auth import get_user_model

from apikeys.lists import team_problem
from apikeys.models import Allowance, Key
from apikeys.unicode_text import NOT_A_TEAM_NAME, is_team_name

TEAM_LENGTH = 100
# A list to choose from that is longer than this helps nobody.
MOST_KNOWN = 200


class Nobody(ValueError):
    """The text names no owner and no team; it says what to write instead."""


class Whose(NamedTuple):
    """An owner or a team: its kind, its subject in the table of limits, and what people call it."""

    kind: str
    subject: str
    name: str

    def __str__(self) -> str:
        """Says it as people type it."""
        return f"{self.kind}:{self.name}"

    @property
    def limits(self) -> dict[str, int]:
        """Returns the limits by dimension."""
        return Allowance.of(self.kind, self.subject)

    @property
    def warnings(self) -> list[str]:
        """Returns what is probably not meant about setting limits of them."""
        return [] if self.has_keys else [f"No key belongs to {self}: check the spelling."]

    @property
    def has_keys(self) -> bool:
        """Tells whether any key belongs to them."""
        whose = {"team": self.subject} if self.kind == Allowance.Kind.TEAM else {"owner": int(self.subject)}
        return Key.objects.filter(**whose).exists()

    def limit(self, wanted: dict[str, int | None]) -> None:
        """Sets limits, None takes one away; running servers obey within a second, and the audit trail has it."""
        Allowance.limit(self.kind, self.subject, str(self), wanted)


def whose(text: str) -> Whose:
    """Returns whom a text names; raises Nobody."""
    kind, _, name = text.partition(":")
    name = name.strip()
    if kind == Allowance.Kind.TEAM and name:
        if len(name) > TEAM_LENGTH:
            raise Nobody(f"A team's name has up to {TEAM_LENGTH} characters.")
        if not is_team_name(name):
            raise Nobody(NOT_A_TEAM_NAME)
        found, problem = Whose(kind, name, name), team_problem(name)
        if problem and not (found.has_keys or found.limits):
            raise Nobody(problem)
        return found
    if kind == Allowance.Kind.OWNER and name:
        user = get_user_model().objects.filter(username=name).first()
        if user is None:
            raise Nobody(f"No user is called {name!r}: `manage.py createuser` or the admin makes one.")
        return Whose(kind, str(user.pk), name)
    raise Nobody(f"{text!r} is nobody: write owner:USER or team:NAME. A key's limits belong to the key itself.")


def limited(team: str | None = None, owner_id: int | None = None) -> list[Whose]:
    """Returns all who have limits, by kind and name: or of these only a team and an owner, where they are given."""
    found = set(Allowance.objects.exclude(kind=Allowance.Kind.KEY).values_list("kind", "subject"))
    if team is not None or owner_id is not None:
        found &= {(Allowance.Kind.TEAM.value, team or ""), (Allowance.Kind.OWNER.value, str(owner_id))}
    names = user_names(subject for kind, subject in found if kind == Allowance.Kind.OWNER)
    return sorted(
        Whose(kind, subject, names.get(subject, subject) if kind == Allowance.Kind.OWNER else subject)
        for kind, subject in found
    )


def user_names(numbers: Iterable[str]) -> dict[str, str]:
    """Returns what users are called, by their numbers."""
    users = get_user_model().objects.filter(pk__in=[int(number) for number in numbers if number.isdecimal()])
    return {str(pk): name for pk, name in users.values_list("pk", "username")}


def known() -> list[str]:
    """Returns the teams and owners of keys, as people type them, a few hundred at most."""
    teams = Key.objects.exclude(team="").order_by("team").values_list("team", flat=True).distinct()[:MOST_KNOWN]
    users = get_user_model().objects.filter(api_keys__isnull=False).order_by("username").distinct()
    owners = users.values_list("username", flat=True)[:MOST_KNOWN]
    return [f"team:{name}" for name in teams] + [f"owner:{name}" for name in owners]
