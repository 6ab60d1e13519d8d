"""`manage.py createuser NAME`: makes a user, who owns keys, and works in the admin as the groups allow."""

from __future__ import annotations

import getpass
import json
import secrets
import sys
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.management.base import CommandError
from django.db import transaction

from apikeys.management.keycommand import KeyCommand

if TYPE_CHECKING:
    from argparse import ArgumentParser

PASSWORD_BYTES = 12


class Command(KeyCommand):
    """Makes a user who is no superuser; a password that it generates is shown once."""

    help = (
        "Make a user. With --group, the user can log in to the admin and do what the group may: Key issuer, Operator, "
        "Auditor, or one of your own. Without, the user owns keys and logs in nowhere."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the name and the options."""
        parser.add_argument("name", help="the user name")
        parser.add_argument(
            "--group", action="append", default=[], metavar="GROUP", help="put the user into this group; repeatable"
        )
        parser.add_argument("--email", default="", help="the user's email address")
        parser.add_argument("--ask-password", action="store_true", help="ask for the password instead of making one")
        form = parser.add_mutually_exclusive_group()
        form.add_argument("--quiet", action="store_true", help="print the password alone, for scripts")
        form.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *, name: str, email: str, **options: Any) -> None:
        """Makes the user and says what was made."""
        groups = [group_of(each) for each in dict.fromkeys(options["group"])]
        user = User(username=User.normalize_username(name), email=email, is_staff=bool(groups))
        user.set_unusable_password()
        user.full_clean()
        password = ""
        if options["ask_password"]:
            password = ask(user)
        elif groups:
            password = secrets.token_urlsafe(PASSWORD_BYTES)
        if password:
            user.set_password(password)
        with transaction.atomic():
            user.save()
            user.groups.set(groups)
        self.tell(user, groups, "" if options["ask_password"] else password, options)

    def tell(self, user: User, groups: list[Group], password: str, options: dict[str, Any]) -> None:
        """Says what was made, with the password where it was generated."""
        names = [group.name for group in groups]
        if options["json"]:
            made = {"user": user.username, "email": user.email, "groups": names, "password": password or None}
            self.stdout.write(json.dumps(made, ensure_ascii=False))
        elif options["quiet"]:
            if password:
                self.stdout.write(password)
        else:
            may = f"in {', '.join(names)}; logs in at /admin/" if names else "owns keys, and is in no group"
            self.stdout.write(f"Made the user {user.username}: {may}.")
            if password:
                self.stdout.write(
                    f"\n    password  {password}\n\nIt is shown this once: the user should change it after the first "
                    "login, under the user's name at the top of the admin."
                )


def group_of(name: str) -> Group:
    """Returns the group of that name; raises CommandError."""
    group = Group.objects.filter(name=name).first()
    if group is None:
        there = ", ".join(Group.objects.order_by("name").values_list("name", flat=True)) or "none"
        raise CommandError(f"Unknown group {name!r}. There are: {there}.")
    return group


def ask(user: User) -> str:
    """Asks for a password, twice; raises CommandError where nobody can be asked, and ValidationError for a weak one."""
    if not sys.stdin.isatty():
        raise CommandError("--ask-password needs a terminal: leave it out, and a password is generated.")
    try:
        password = getpass.getpass("Password: ")
        again = getpass.getpass("Password (again): ")
    except (EOFError, KeyboardInterrupt):
        raise CommandError("No user was made.") from None
    if password != again:
        raise CommandError("The two passwords differ: no user was made.")
    validate_password(password, user)
    return password
