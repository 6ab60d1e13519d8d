"""The first run on a database: an admin and a first API key, told once to whoever started it."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from typing import NamedTuple, Protocol

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.http.request import validate_host

from apikeys.models import Key
from gateway.addresses import Listening
from gateway.database import folder
from gateway.models import FirstRun

ADMIN = "admin"
KEY_LABEL = "first key"
PASSWORD_BYTES = 15
FILE_NAME = "first-run.txt"


class Out(Protocol):
    """What lines are written to: a stream, or a command's stdout."""

    def write(self, text: str, /) -> object:
        """Writes a text."""

    def isatty(self) -> bool:
        """Tells whether a person reads it."""


class NoPlaceForSecrets(Exception):
    """There is no terminal, and the file can't be written either."""


class Made(NamedTuple):
    """What the first run made: secrets that are shown once; None for what was there already."""

    password: str | None
    key: str | None


def first_run(listening: Listening, out: Out) -> None:
    """Makes what is absent and tells it, once in a database's life.

    On a terminal the secrets are printed; otherwise they go into a file, so that no log keeps them. Raises
    NoPlaceForSecrets when that file can't be written; nothing has been made then.
    """
    if FirstRun.objects.exists():
        return
    with transaction.atomic():
        # Of two first starts at once the later one waits for this row, and finds it made.
        _, is_first = FirstRun.objects.get_or_create(pk=1)
        made = make_absent() if is_first else Made(None, None)
        if made.password or made.key:
            tell(made, listening, out)


def make_absent() -> Made:
    """Makes the admin when there is no user, and a key when there is none."""
    users = get_user_model().objects
    password = key = None
    if not users.exists():
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        users.create_superuser(ADMIN, password=password)
    if not Key.objects.exists():
        key = Key.objects.issue(label=KEY_LABEL, created_by=users.filter(is_superuser=True).first())[1]
    return Made(password, key)


def tell(made: Made, listening: Listening, out: Out) -> None:
    """Shows the secrets on a terminal, or writes them into a file and says where it is."""
    text = account(made, listening)
    if out.isatty():
        out.write(f"\nFirst run. This is shown once:\n{text}\n")
        return
    path = folder() / FILE_NAME
    try:
        write_private(path, text)
    except OSError as error:
        raise NoPlaceForSecrets(
            f"The first run's password and key can't be written to {path} ({error.strerror}): start once on a "
            "terminal, or make them yourself with `manage.py createsuperuser` and `manage.py createapikey`."
        ) from None
    out.write(f"First run: how to log in and the first API key are in {path}; note them and delete it.\n")


def account(made: Made, listening: Listening) -> str:
    """Says in plain lines what was made and how to use it."""
    lines = []
    if made.password:
        lines += [f"  admin    {listening.url}{settings.ENV.BASE_PATH}/admin/   user {ADMIN}, password {made.password}"]
    if made.key:
        lines += [f"  API key  {made.key}", "", "Try it from another terminal:", "", f"  {curl(made.key, listening)}"]
    return "\n".join(lines) + "\n"


def curl(key: str, listening: Listening) -> str:
    """Returns a command line that streams an answer when it is pasted on this machine."""
    host = ""
    if not validate_host(listening.host_header, settings.ALLOWED_HOSTS):
        host = f"-H 'Host: {settings.ALLOWED_HOSTS[0].removeprefix('.')}' "
    return (
        f"curl -N {host}-H 'X-API-Key: {key}' -H 'Content-Type: application/json' "
        f"""-d '{{"prompt":"Why is the sky blue?","stream":true}}' {listening.url}/api/v1/generate"""
    )


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, in place of one that is there already."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(name).replace(path)
