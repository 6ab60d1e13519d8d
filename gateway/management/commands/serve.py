"""Starts the gateway: prepares the database, does the first run, finds an Ollama, and serves until it is stopped."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError

import gateway
from gateway.addresses import CannotListen, Listening, listening
from gateway.database import prepare
from gateway.env import DEFAULT_OLLAMA_URL, load
from gateway.firstrun import NoPlaceForSecrets, first_run


class Command(BaseCommand):
    """Serves the gateway."""

    help = "Prepares the database and serves the gateway until it is stopped."
    requires_system_checks = ()  # they run below, on the settings that the options make

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the options."""
        parser.add_argument("--host", help=f"address to listen on (now {settings.ENV.HOST})")
        parser.add_argument("--port", help=f"port to listen on (now {settings.ENV.PORT})")
        parser.add_argument("--reload", action="store_true", help="restart when the code changes")

    def handle(self, *_args: Any, host: str | None, port: str | None, reload: bool, **_options: Any) -> None:
        """Takes the steps in their order; every foreseeable failure is one line and exit code 1."""
        use(HOST=host, PORT=port)
        try:
            where = listening(settings.ENV.HOST, settings.ENV.PORT)
            self.check()
            prepare(self.say)
            self.greet(where)
            first_run(where, self.stdout)
        except (CannotListen, NoPlaceForSecrets) as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            reason = " ".join(str(error).split())
            raise CommandError(f"The database can't be used ({reason}): see DATABASE_URL.") from None
        self.stdout.flush()

        from gateway.server import run

        run(host=where.host, port=where.port, reload=reload)

    def greet(self, where: Listening) -> None:
        """Says where everything is."""
        self.stdout.write(f"Ollama gateway {gateway.__version__} ({settings.ENV.APP_ENV})")
        for name, value in (
            ("API", where.url),
            ("docs", f"{where.url}/docs"),
            ("admin", f"{where.url}/admin/"),
            ("Ollama", settings.OLLAMA_URL),
        ):
            self.stdout.write(f"  {name:<7}{value}")

    def say(self, line: str) -> None:
        """Writes a line now, because what follows may take long."""
        self.stdout.write(line)
        self.stdout.flush()


def use(**given: str | None) -> None:
    """Makes this server run on these settings: in this process and in those that it starts.

    Raises SettingError when one of them is not allowed.
    """
    os.environ.update({name: value for name, value in given.items() if value is not None})
    settings.ENV = load()
    settings.OLLAMA_URL = settings.ENV.OLLAMA_URL or DEFAULT_OLLAMA_URL
    settings.OLLAMA_MODEL = settings.ENV.OLLAMA_MODEL
