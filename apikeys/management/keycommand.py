"""What all commands for keys share: they act in their own name, find keys by id, and take a key's fields as options."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from apikeys.actor import acting
from apikeys.expiry import parse_expiry
from apikeys.input_warnings import input_warnings
from apikeys.keys import find_id
from apikeys.lists import DIALECTS, SCOPES
from apikeys.models import Allowance, Key, RevocationIsFinal

if TYPE_CHECKING:
    from argparse import ArgumentParser

# The options that are fields of a key, word for word.
TEXTS = {
    "team": ("NAME", "a name that keys share"),
    "note": ("TEXT", "a word for operators"),
    "scopes": ("LIST", f"what it is good for: {','.join(SCOPES)} (inference)"),
    "models": ("LIST", "the models that it may use, as mistral,llama3*,me/* (all)"),
    "routes": ("LIST", f"the dialects ({','.join(DIALECTS)}) or paths that it may use (all)"),
    "context_window": ("RULES", "context windows by model, as *=8192,qwen3:*=16384..32768 (as in the settings)"),
    "addresses": ("LIST", "the addresses and networks that it works from (all)"),
    "keyless_networks": ("LIST", "networks whose requests without a key act as this one: see docs/security.md (none)"),
}
LIMITS = tuple(Allowance.Dimension.values)
NEVER = "never"


class KeyCommand(BaseCommand):
    """A command that audits what it does under its own name and the operating system's user."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Runs the command; what is not allowed becomes one line for people."""
        name = type(self).__module__.rpartition(".")[2]
        with acting(f"command {name} by {user_name()}"):
            try:
                return super().execute(*args, **options)
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from None
            except RevocationIsFinal as error:
                raise CommandError(str(error)) from None


class OneKeyCommand(KeyCommand):
    """A command for one key, named by its public id; a whole key is understood too, and never repeated."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the id."""
        parser.add_argument("id", help="the key's public id: the part between its underscores")

    def key(self, typed: str) -> Key:
        """Returns the key with that id; raises CommandError."""
        key_id = find_id(typed.strip())
        if key_id is None:
            # What was typed may hold a secret, so it is not quoted.
            raise CommandError("That is no key id: it has 12 letters and digits. `manage.py listapikeys` shows them.")
        key = Key.objects.filter(key_id=key_id).first()
        if key is None:
            raise CommandError(f"No key has the id {key_id}: `manage.py listapikeys` shows all.")
        return key


def add_fields(parser: ArgumentParser) -> None:
    """Adds an option for each field of a key."""
    parser.add_argument("--owner", metavar="USER", help="the user name of the person who answers for it")
    for name, (metavar, text) in TEXTS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=metavar, help=text)
    in_path = "whether it is also taken from the path, /k/KEY/…: see docs/security.md (no)"
    parser.add_argument("--allow-in-path", choices=("yes", "no"), help=in_path)
    parser.add_argument("--expires", metavar="WHEN", help="90m, 12h, 30d, 8w, a date as 2030-12-31 (UTC), or never")
    parser.add_argument("--body-limit", type=int, metavar="BYTES", help="the largest request body; 0 for the usual one")
    for name in LIMITS:
        option = f"--{name.replace('_', '-')}"
        words = Allowance.Dimension(name).label
        parser.add_argument(option, type=int, metavar="N", help=f"most {words}; 0 for no limit")


def fields(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the fields that the options give; raises CommandError for what can't be one."""
    given = {name: options[name] for name in TEXTS if options[name] is not None}
    if options["allow_in_path"] is not None:
        given["allow_in_path"] = options["allow_in_path"] == "yes"
    if options["owner"] is not None:
        given["owner"] = owner(options["owner"])
    if options["expires"] is not None:
        try:
            never = options["expires"] == NEVER
            given["expires"] = None if never else parse_expiry(options["expires"], timezone.now())
        except ValueError as error:
            raise CommandError(str(error)) from None
    if options["body_limit"] is not None:
        given["body_limit"] = not_negative("body-limit", options["body_limit"]) or None
    return given


def limits(options: dict[str, Any]) -> dict[str, int | None]:
    """Returns the limits that the options give, None for those to be taken away; raises CommandError."""
    return {name: not_negative(name, options[name]) or None for name in LIMITS if options[name] is not None}


def warn(command: BaseCommand, key: Key, *, models: bool = True, team: bool = True) -> None:
    """Writes what is probably not meant about a key to the errors' stream."""
    for line in input_warnings(key, models=models, team=team):
        command.stderr.write(f"Warning: {line}")


def not_negative(name: str, number: int) -> int:
    """Returns a number that is not negative; raises CommandError."""
    if number < 0:
        raise CommandError(f"--{name.replace('_', '-')} {number} is not allowed: give a whole number, 0 for none.")
    return number


def owner(name: str) -> Any:
    """Returns the user of that name, None for an empty one; raises CommandError."""
    if not name:
        return None
    user = get_user_model().objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"No user is called {name!r}: `manage.py createuser` or the admin makes one.")
    return user


def user_name() -> str:
    """Returns who runs this process, as the operating system knows it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "somebody"
