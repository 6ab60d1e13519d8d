"""The child process that engine/child.py starts: says on its standard output when it is ready, or why not."""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from pathlib import Path

from engine.errors import EngineError
from engine.run import serve


def main() -> None:
    """Serves the model given by path on a listening socket that the parent opened."""
    parser = argparse.ArgumentParser(prog="python -m engine")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--listener", type=int, required=True, help="file descriptor of the listening socket")
    options = parser.parse_args()
    listener = socket.socket(fileno=options.listener)
    try:
        serve(options.model, listener, lambda: tell({"ready": True}), tied=True)
    except EngineError as error:
        tell({"error": str(error)})
    # Not through the interpreter's end: the native library's own can hang.
    os._exit(0)


def tell(message: dict[str, object]) -> None:
    """Writes one line for the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
