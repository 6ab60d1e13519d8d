"""A PostgreSQL of the tests' own: a cluster in a temporary folder, which can be stopped hard and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Self

from gateway.addresses import listening

# Debian keeps the server's programs beside each other by version, and off the PATH.
PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
# The server refuses to run as root.
UNPRIVILEGED = "postgres"


def binaries() -> Path | None:
    """Returns the folder of PostgreSQL's programs, None where it is not installed or nobody may run it."""
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else PLACES
    folder = next((place for place in places if (place / "pg_ctl").exists()), None)
    if folder is None or (os.geteuid() == 0 and (not shutil.which("runuser") or not user_exists())):
        return None
    return folder


def user_exists() -> bool:
    """Tells whether there is a user to run the server as."""
    try:
        pwd.getpwnam(UNPRIVILEGED)
    except KeyError:
        return False
    return True


class Postgres:
    """A running cluster with trust for everybody on this machine; `url(name)` makes a database."""

    def __init__(self) -> None:
        folder = binaries()
        assert folder is not None, "PostgreSQL is not installed"
        self.binaries = folder
        self.folder = Path(mkdtemp(prefix="gateway-postgres-"))
        self.port = listening("127.0.0.1", 0).port
        if os.geteuid() == 0:
            shutil.chown(self.folder, UNPRIVILEGED, UNPRIVILEGED)
        self.run("initdb", "-D", str(self.folder / "data"), "-A", "trust", "-U", "gateway", "--no-sync")

    def start(self) -> Self:
        """Starts the server and waits until it answers."""
        options = f"-p {self.port} -h 127.0.0.1 -k {self.folder} -c fsync=off -c max_connections=50"
        self.run(
            "pg_ctl", "-D", f"{self.folder}/data", "-o", options, "-w", "-t", "30", "-l", f"{self.folder}/log", "start"
        )
        return self

    def stop(self, mode: str = "immediate") -> None:
        """Stops the server: `immediate` as a crash would, `fast` in order."""
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", mode, "-w", "stop")

    def url(self, name: str) -> str:
        """Makes an empty database and returns its DATABASE_URL."""
        self.run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "gateway", name)
        return f"postgres://gateway@127.0.0.1:{self.port}/{name}"

    def run(self, program: str, *arguments: str) -> None:
        """Runs one of PostgreSQL's programs; raises AssertionError with what it says if it fails."""
        command: Sequence[str] = [str(self.binaries / program), *arguments]
        if os.geteuid() == 0:
            command = ["runuser", "-u", UNPRIVILEGED, "--", *command]
        # A server that is started keeps what it is given: a pipe would never end.
        with (self.folder.parent / f"{self.folder.name}.out").open("w+") as said:
            done = subprocess.run(command, stdout=said, stderr=said, cwd="/", check=False)
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read()}"

    def remove(self) -> None:
        """Stops the server if it runs, and removes its files."""
        if (self.folder / "data" / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder.parent / f"{self.folder.name}.out").unlink(missing_ok=True)
