"""Environments of their own for the rivals, made once and kept in a cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.started import BASE_DIR, ServerFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

DEFAULT_CACHE = "~/.cache/ollama-gateway/bench"
INSTALL_SECONDS = 900
PIP = ("--quiet", "--no-input", "--disable-pip-version-check", "--require-hashes", "--no-deps", "--requirement")
NPM = ("--no-audit", "--no-fund", "--ignore-scripts", "--omit-lockfile-registry-resolved")


def cache() -> Path:
    """Returns the folder that holds them: BENCH_CACHE, or one in the user's own cache."""
    return Path(os.environ.get("BENCH_CACHE") or DEFAULT_CACHE).expanduser()


def python(name: str) -> Path:
    """Returns the folder of commands with what requirements/NAME.txt lists; raises ServerFailed."""
    folder = cache() / name
    wanted = BASE_DIR / "requirements" / f"{name}.txt"
    commands = [
        [sys.executable, "-m", "venv", "--clear", str(folder)],
        [str(folder / "bin" / "python"), "-m", "pip", "install", *PIP, str(wanted)],
    ]
    _once(name, wanted, folder, commands)
    return folder / "bin"


def node(name: str, source: Path) -> Path:
    """Returns the folder of modules with what a package-lock.json lists; raises ServerFailed."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise ServerFailed("Node and npm are not installed (version 20 or later)")
    folder = cache() / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copyfile(source / file, folder / file)
    _once(name, source / "package-lock.json", folder, [["npm", "ci", *NPM]], folder)
    return folder / "node_modules"


def debian(package: str, command: str) -> Path:
    """Returns a command: the one on the PATH, else one unpacked from Debian's package; raises ServerFailed."""
    folder = cache() / package
    unpacked = folder / "usr" / "sbin" / command
    if found := shutil.which(command):
        return Path(found)
    if not unpacked.exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise ServerFailed(f"{command} is not installed, and this is no Debian to take its package from")
        folder.mkdir(parents=True, exist_ok=True)
        _say(package)
        _run(["apt-get", "download", package], folder)
        for file in folder.glob("*.deb"):
            _run(["dpkg-deb", "-x", file.name, "."], folder)
    return unpacked


def _once(name: str, wanted: Path, folder: Path, commands: Sequence[Sequence[str]], where: Path = BASE_DIR) -> None:
    """Runs the commands, unless they made this folder from the same list before."""
    stamp = folder / "installed.txt"
    if stamp.exists() and stamp.read_bytes() == wanted.read_bytes():
        return
    _say(name)
    for command in commands:
        _run(command, where)
    shutil.copyfile(wanted, stamp)


def _say(name: str) -> None:
    sys.stderr.write(f"installing {name} into {cache()} (once) …\n")


def _run(command: Sequence[str], where: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 -- commands of ours
            command,
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerFailed(f"{command[0]} failed: {error}") from error
    if done.returncode:
        raise ServerFailed(f"{' '.join(command[:3])} … failed:\n{done.stdout[-2000:]}")
