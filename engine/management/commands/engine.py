"""`manage.py engine`: the demo engine alone."""

from __future__ import annotations

import socket
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from engine.errors import EngineError
from engine.fetch import fetch
from engine.model import DEMO


class Command(BaseCommand):
    """Serves the demo model with Ollama's protocol until Ctrl-C."""

    help = "Serves the demo model SmolLM2 (135 M parameters) with Ollama's protocol, fetching it when it is missing."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declares the options."""
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")

    def handle(self, *_: Any, host: str, port: int, **__: Any) -> None:
        """Fetches, loads, listens; prints one line with the URL when the model answers."""
        try:
            model = fetch(settings.ENV.ENGINE_CACHE)
            from engine.run import serve

            try:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                listener = socket.create_server((host, port), family=family, backlog=128)
            except OSError as error:
                raise CommandError(f"Can't listen on {host}:{port} ({error.strerror}): choose another port") from None
            shown = f"[{host}]" if ":" in host else host
            url = f"http://{shown}:{listener.getsockname()[1]}"
            serve(model, listener, lambda: self.tell(url))
        except EngineError as error:
            raise CommandError(str(error)) from None

    def tell(self, url: str) -> None:
        """Prints the URL."""
        self.stdout.write(f"{DEMO[0].upper()}{DEMO[1:]} answers at {url}")
        self.stdout.flush()
