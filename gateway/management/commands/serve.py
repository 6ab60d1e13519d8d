"""Starts the gateway: prepares the database, does the first run, finds an Ollama, and serves until it is stopped."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, call_command
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

import gateway
from gateway.addresses import CannotListen, Listening, listening


class Command(BaseCommand):
    """Serves the gateway."""

    help = "Prepares the database and serves the gateway until it is stopped."
    requires_system_checks = ()  # they run below, on the settings that the options make

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the options."""
        parser.add_argument("--host", help=f"address to listen on (now {settings.ENV.HOST})")
        parser.add_argument("--port", type=int, help=f"port to listen on (now {settings.ENV.PORT})")
        parser.add_argument("--reload", action="store_true", help="restart when the code changes")

    def handle(self, *_args: Any, host: str | None, port: int | None, reload: bool, **_options: Any) -> None:
        """Runs the steps in their order; every foreseeable failure is one line and exit code 1."""
        try:
            where = listening(host or settings.ENV.HOST, settings.ENV.PORT if port is None else port)
            self.check()
            self.prepare_database()
            self.greet(where)
            self.first_run(where)
        except CannotListen as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(f"The database can't be used ({one_line(error)}): see DATABASE_URL.") from None
        self.stdout.flush()

        from gateway.server import run

        run(host=where.host, port=where.port, reload=reload)

    def prepare_database(self) -> None:
        """Applies what migrations are left, with a word where there are any."""
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.stdout.write("Preparing the database …")
            self.stdout.flush()
            call_command("migrate", verbosity=0, interactive=False)

    def first_run(self, where: Listening) -> None:
        """Makes the admin and the first key of a new database."""
        from gateway.firstrun import first_run

        try:
            first_run(where, self.stdout)
        except OSError as error:
            raise CommandError(
                f"The first run's secrets have no place to go ({error}): start once on a terminal, or "
                "make an admin and a key yourself with `manage.py createsuperuser` and `manage.py createapikey`."
            ) from None

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


def one_line(error: BaseException) -> str:
    """Returns the error's text without line breaks."""
    return " ".join(str(error).split())
