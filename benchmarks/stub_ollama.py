"""Runs the stub upstream: `python benchmarks/stub_ollama.py --port 0`."""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from benchmarks.stub.server import main

    main()
