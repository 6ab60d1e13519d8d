"""Says why Django's development server is not the one to use."""

from __future__ import annotations

from typing import Any, NoReturn

from django.core.management import BaseCommand, CommandError


class Command(BaseCommand):
    """Points to `serve`."""

    help = "Not for this project: it can't stream. Use `serve`."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        """Takes any of runserver's arguments."""
        super().run_from_argv(argv[:2])

    def handle(self, *_args: Any, **_options: Any) -> NoReturn:
        """Refuses."""
        raise CommandError("runserver can't stream answers. Use `manage.py serve` (with --reload while developing).")
