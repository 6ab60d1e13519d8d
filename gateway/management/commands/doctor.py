"""Says in plain lines what is right, what is wrong, and what to do about it."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management import BaseCommand

from gateway.doctor import examine


class Command(BaseCommand):
    """Prints the doctor's findings; the exit code is 1 when one of them is a fail."""

    help = "Looks at settings, database, keys and Ollama, and says what to do. Exit code 1 when something fails."
    requires_system_checks = ()  # they are among the findings

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Adds the form."""
        parser.add_argument("--json", action="store_true", help="print a JSON array of findings")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Prints a line for each finding as it comes."""
        if options["json"]:
            findings = list(examine())
            rows = [each._asdict() for each in findings]
            self.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False))
            if any(each.level == "fail" for each in findings):
                sys.exit(1)
            return
        styles = {"ok": self.style.SUCCESS, "warn": self.style.WARNING, "fail": self.style.ERROR}
        failed = False
        for level, subject, text in examine():
            self.stdout.write(f"{styles[level](f'{level:<4}')}  {subject:<9} {text}")
            self.stdout.flush()
            failed |= level == "fail"
        if failed:
            sys.exit(1)
