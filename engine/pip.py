"""Runs pip for what the engine needs, watches its progress, and explains its failures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from engine.errors import EngineError
from engine.progress import Progress

QUIET = ("--quiet", "--no-input", "--disable-pip-version-check", "--progress-bar=off")
PATIENCE = ("--retries=2", "--timeout=15")
POLL = 0.1  # seconds between two looks at what has arrived

INSTEAD = "or set OLLAMA_URL to an Ollama of yours"
NETWORK_SIGNS = (
    "connection",
    "retrying",
    "name resolution",
    "timed out",
    "network is unreachable",
    "proxyerror",
    "sslerror",
    "certificate",
)


def run(command: str, arguments: list[str], staging: Path, progress: Progress) -> None:
    """Runs a pip command whose temporary files stay inside `staging`, and shows them growing.

    Raises EngineError when pip fails.
    """
    environment = {**os.environ, "TMPDIR": str(staging)}
    log = staging / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own interpreter with our own arguments
            [sys.executable, "-m", "pip", command, *QUIET, *PATIENCE, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        try:
            while process.poll() is None:
                progress.show(size_below(staging))
                try:
                    process.wait(POLL)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise EngineError(explain(log.read_text(encoding="utf-8", errors="replace")))


def size_below(folder: Path) -> int:
    """Returns the bytes of all files below a folder whose files come and go."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).stat().st_size
            except OSError:
                continue
    return total


def explain(output: str) -> str:
    """Turns pip's complaint into one line that says what to do."""
    lower = output.lower()
    if "do not match the hashes" in lower:
        return (
            "The demo engine's download is not the expected one (its checksum differs) and was thrown away: "
            f"try again without the proxy or mirror that alters downloads, {INSTEAD}"
        )
    if "no space left on device" in lower:
        return f"The disk is full: make room for the demo engine (300 MB), {INSTEAD}"
    if "no module named pip" in lower:
        return f"pip is missing in {sys.executable}: run `{sys.executable} -m ensurepip`, {INSTEAD}"
    if "externally-managed-environment" in lower:
        return f"This Python is managed by the system: run the gateway in a virtual environment, {INSTEAD}"
    if any(sign in lower for sign in NETWORK_SIGNS):
        return f"The demo engine can't be fetched without a network: check the connection or the proxy, {INSTEAD}"
    if "no matching distribution" in lower:
        return (
            f"There is no demo engine for this system ({sys.platform}, Python {sys.version_info.major}."
            f"{sys.version_info.minor}) where pip looks: use another machine, {INSTEAD}"
        )
    complaints = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    return (
        f"pip failed to fetch the demo engine ({complaints[-1] if complaints else 'no reason given'}): "
        f"try again, {INSTEAD}"
    )
