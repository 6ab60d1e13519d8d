"""What is allowed but probably not meant, said where it is typed: never an error, and nothing where Ollama is away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apikeys.delegation import model_covers
from apikeys.lists import parts, scopes
from apikeys.models import Key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class InstalledModels:
    """Where the names of the models on the Ollama are asked for; the gateway sets `source`, which never raises."""

    def __init__(self) -> None:
        self.source: Callable[[], tuple[str, ...] | None] = lambda: None

    def names(self) -> tuple[str, ...] | None:
        """Returns the models' names with their tags, None where they are not known."""
        return self.source()


installed_models = InstalledModels()


def input_warnings(key: Key, *, models: bool = True, team: bool = True) -> list[str]:
    """Returns sentences about a key's models and team, of those that were typed."""
    found: list[str] = []
    if models and key.models and "inference" in scopes(key.scopes):
        found += model_warnings(parts(key.models))
    if team and key.team:
        found += team_warnings(key.team)
    return found


def model_warnings(patterns: tuple[str, ...]) -> Iterator[str]:
    """Yields which patterns match none of the models that are on the Ollama now."""
    names = installed_models.names()
    if names is None:
        return
    for pattern in patterns:
        if not any(model_covers(pattern, name) for name in names):
            yield f"No model on the Ollama matches {pattern!r} today: check its spelling and tag, or pull the model."


def team_warnings(team: str) -> Iterator[str]:
    """Yields in which way a team's name is probably not the one that was meant."""
    if "," in team or ";" in team:
        yield f"{team!r} is one team: a key has one team, not a list of them."
    others = Key.objects.filter(team__iexact=team).exclude(team=team).values_list("team", flat=True)
    other = others.first()
    if other is not None:
        yield f"There is a team {other!r}: {team!r} is another one, with limits of its own."
