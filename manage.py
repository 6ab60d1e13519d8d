#!/usr/bin/env python3
"""Runs the gateway's commands: serve, doctor, createapikey, and Django's own."""

from __future__ import annotations

import os
import sys

# What a shell reports for a program that Ctrl-C ended, and for one that nobody reads from any more.
INTERRUPTED, NOT_READ = 130, 141


def main() -> None:
    """Prepares the environment and hands the command line to Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    from django.core.management import execute_from_command_line

    from gateway.env import SettingError
    from gateway.envfile import ensure_secrets

    try:
        ensure_secrets()
        execute_from_command_line(sys.argv)
    except SettingError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read what we say has had enough of it; the interpreter would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(NOT_READ)


if __name__ == "__main__":
    main()
