"""Starts the gateway: prepares the database, does the first run, finds an Ollama, and serves until it is stopped."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError
from django.db import DatabaseError

import gateway
from apikeys.pepper import LOST_PEPPER, pepper_is_lost
from engine.child import EngineProcess
from engine.errors import EngineError
from engine.model import DEMO
from engine.model import NAME as MODEL
from engine.wanted import something_listens, wanted
from gateway.addresses import CannotListen, Listening, listening
from gateway.database import prepare
from gateway.env import DEFAULT_OLLAMA_URL, Env, load
from gateway.firstrun import NoPlaceForSecrets, first_run
from gateway.json_logging import JsonOutput, log_everything
from gateway.probe import look
from usage.sole import NotSole, Sole

PATIENCE = 1  # seconds that an Ollama gets to say who it is; a start does not wait for it


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
        if settings.ENV.production:
            self.speak_json()
        with ExitStack() as engine:
            try:
                where = listening(settings.ENV.HOST, settings.ENV.PORT)
                self.check()
                check_journal(settings.ENV)
                prepare(self.say)
                if pepper_is_lost():
                    self.stderr.write(self.style.WARNING(f"{LOST_PEPPER}."))
                self.greet(where, self.find_ollama(engine))
                first_run(where, self.stdout)
            except (CannotListen, EngineError, NoPlaceForSecrets, NotSole) as error:
                raise CommandError(str(error)) from None
            except DatabaseError as error:
                reason = " ".join(str(error).split())
                raise CommandError(f"The database can't be used ({reason}): see DATABASE_URL.") from None
            self.stdout.flush()

            from gateway.server import run

            run(host=where.host, port=where.port, reload=reload)

    def speak_json(self) -> None:
        """Makes lines of the log of all that is said from here on; a person at a terminal still gets the greeting."""
        log_everything()
        if not sys.stdout.isatty():
            self.stdout = JsonOutput(sys.stdout, "info")
        if not sys.stderr.isatty():
            self.stderr = JsonOutput(sys.stderr, "error")

    def find_ollama(self, engine: ExitStack) -> str:
        """Starts the demo engine if it is wanted; returns which Ollama requests go to, in words."""
        env: Env = settings.ENV
        answers = env.OLLAMA_URL is None and something_listens(DEFAULT_OLLAMA_URL)
        decision = wanted(
            ollama_url=env.OLLAMA_URL,
            engine=env.ENGINE,
            production=env.production,
            default_url=DEFAULT_OLLAMA_URL,
            answers=answers,
        )
        if env.OLLAMA_URL is None and not answers:
            self.say(decision.reason)
        if decision.start and (url := self.start_engine(engine, env)):
            use(OLLAMA_URL=url, OLLAMA_MODEL=MODEL)
            return f"{url} ({DEMO})"
        return described(env)

    def start_engine(self, engine: ExitStack, env: Env) -> str | None:
        """Starts the demo engine; returns its address, or None where the gateway is to serve without it.

        The admin and the gateway are of use without a model, so a failure stops the start only where ENGINE=on asks for
        the engine; then it raises EngineError.
        """
        try:
            return engine.enter_context(EngineProcess(env.ENGINE_CACHE, say=self.say)).url
        except EngineError as error:
            if env.ENGINE == "on":
                raise
            self.stderr.write(self.style.WARNING(f"{error}."))
            self.say(
                "Starting without a model: the admin works, and so does the API once an Ollama answers at "
                f"{DEFAULT_OLLAMA_URL} or where OLLAMA_URL says. ENGINE=off skips this attempt."
            )
            return None

    def greet(self, where: Listening, ollama: str) -> None:
        """Says where everything is."""
        self.stdout.write(f"Ollama gateway {gateway.__version__} ({settings.ENV.APP_ENV})")
        base = settings.ENV.BASE_PATH
        for name, value in (
            ("API", where.url),
            *([("prefix", f"{base}, for all of these too (BASE_PATH)")] if base else []),
            ("docs", f"{where.url}{base}/docs"),
            ("admin", f"{where.url}{base}/admin/"),
            ("Ollama", ollama),
        ):
            self.stdout.write(f"  {name:<7}{value}")

    def say(self, line: str) -> None:
        """Writes a line now, because what follows may take long."""
        self.stdout.write(line)
        self.stdout.flush()


def described(env: Env) -> str:
    """Asks the Ollama who it is and returns that in words; the gateway serves either way, and passes it on later."""
    url, model = settings.OLLAMA_URL, settings.OLLAMA_MODEL
    found = look(url, token=env.OLLAMA_API_KEY, authority=env.OLLAMA_CA, seconds=PATIENCE)
    if found.problem:
        return f"{url} (not there yet: {found.problem}; start it, or set OLLAMA_URL)"
    if not found.has(model):
        return f"{url} (version {found.version}, without the default model: `ollama pull {model}` or set OLLAMA_MODEL)"
    return f"{url} (version {found.version}, default model {model})"


def use(**given: str | None) -> None:
    """Makes this server run on these settings: in this process and in those that it starts.

    Raises SettingError when one of them is not allowed.
    """
    os.environ.update({name: value for name, value in given.items() if value is not None})
    settings.ENV = load()
    settings.OLLAMA_URL = settings.ENV.OLLAMA_URL or DEFAULT_OLLAMA_URL
    settings.OLLAMA_MODEL = settings.ENV.OLLAMA_MODEL


def check_journal(env: Env) -> None:
    """Raises NotSole where another process counts the limits, and CommandError for a folder that can't be written."""
    sole = Sole(env.journal_dir / "limits.lock")
    try:
        free = sole.take(shared=env.REDIS_URL is not None)
    except OSError as error:
        raise CommandError(f"JOURNAL_DIR={env.journal_dir} can't be used ({error.strerror}): name a folder.") from None
    sole.free()
    if not free and env.LIMITS == "exact":
        raise NotSole(env.journal_dir)
