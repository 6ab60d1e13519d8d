"""The front door for tests: the real server as a process of its own, on a database of its own."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import NamedTuple, Self

import psutil

BASE_DIR = Path(__file__).resolve().parent.parent
SECRETS = {"SECRET_KEY": "tests-only-secret-key-" + "s" * 40, "KEY_PEPPER": "tests-only-pepper-" + "p" * 40}
ADMIN_PASSWORD = "tests-only-password"
START_SECONDS = 30.0
STOP_SECONDS = 30.0
LEAVE_SECONDS = 2.0
# The environment variable by which `python -m tests` finds what a run has started.
RUN_MARKER = "GATEWAY_TEST_RUN"
# How an error that nobody foresaw begins in the log.
TROUBLE = ("Traceback (most recent call last)", "Unforeseen ")

# What a first run makes, with a password that tests know. PBKDF2's million rounds are for real passwords.
MAKE_TEMPLATE = f"""
import django; django.setup()
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.core.management import call_command
from apikeys.models import Key
from gateway.models import FirstRun
call_command("migrate", verbosity=0, interactive=False)
FirstRun.objects.create(pk=1)
admin = User(username="admin", is_staff=True, is_superuser=True)
admin.password = PBKDF2PasswordHasher().encode({ADMIN_PASSWORD!r}, "salt", iterations=1000)
admin.save()
print(Key.objects.issue(label="tests", created_by=admin)[1])
"""


class Template(NamedTuple):
    """A migrated database file with an admin and one key, to be copied, and that key."""

    database: Path
    key: str


class GatewayServer:
    """A running gateway: `manage.py serve` in a temporary folder with its own `.env` and SQLite file.

    Settings are given by name (`MAX_BODY_BYTES=2048`). On entering it waits until the server listens; on leaving it
    stops it, and fails when its log holds an error that nobody foresaw, or a process of it is left.

        with GatewayServer(ollama_url=stub.url) as server:
            httpx.post(f"{server.url}/api/v1/generate", headers=server.headers, json={"prompt": "Hi"})
    """

    def __init__(
        self, *, ollama_url: str | None, folder: Path | None = None, fresh: bool = False, **settings: object
    ) -> None:
        self.folder = folder or Path(mkdtemp(prefix="gateway-"))
        self._owns_folder = folder is None
        self.settings = {
            **SECRETS,
            "DATABASE_URL": f"sqlite:///{self.folder / 'db.sqlite3'}",
            "PORT": "0",
            "ENGINE": "off",
            "INVALID_KEYS_PER_MINUTE": "1000000",  # all tests come from one address
            "JOURNAL_DIR": str(self.folder / "journal"),
            **({"OLLAMA_URL": ollama_url} if ollama_url else {}),
            **{name: str(value) for name, value in settings.items()},
        }
        self._said_before = 0
        self.url = ""
        self.key = ""
        self.process: subprocess.Popen[bytes] | None = None
        env_file = self.folder / ".env"
        env_file.touch(mode=0o600)
        env_file.write_text("".join(f"{name}={value}\n" for name, value in self.settings.items()))
        if not fresh:
            self.key = template().key
            shutil.copyfile(template().database, self.folder / "db.sqlite3")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request that is let in."""
        return {"X-API-Key": self.key}

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rpartition(":")[2])

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self.url.rpartition(":")[0].removeprefix("http://").strip("[]")

    def start(self, *arguments: str) -> Self:
        """Starts the process and waits until it accepts connections; raises AssertionError with its log if it ends."""
        self._said_before = len(self.log())
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "serve", *arguments],
                cwd=BASE_DIR,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a terminal's Ctrl-C is for the tests, which then stop it
            )
        wait_until(self._accepts, START_SECONDS, self.log)
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal, waits for the end, insists that no process is left, and returns the exit code."""
        process = self._running()
        family = self.descendants()
        if process.poll() is None:
            process.send_signal(number)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            for survivor in family:
                survivor.kill()
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not stop within {STOP_SECONDS} s:\n{self.log()}") from None
        # multiprocessing's own helper, which --reload has, ends when it hears that the server has.
        deadline = time.monotonic() + LEAVE_SECONDS
        while (left := [survivor for survivor in family if is_alive(survivor)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        for survivor in left:
            survivor.kill()
        assert not left, f"the server left {left} behind:\n{self.log()}"
        return code

    def descendants(self) -> list[psutil.Process]:
        """The processes that the server has started, such as the engine."""
        try:
            return psutil.Process(self._running().pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def environment(self) -> dict[str, str]:
        """The environment that the server and its commands run in."""
        return clean_environment(GATEWAY_ENV_FILE=str(self.folder / ".env"))

    def log(self) -> str:
        """What it wrote to stdout and stderr so far."""
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command of manage.py with the same settings and database; raises AssertionError if it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{arguments}: {done.stdout}{done.stderr}"
        return done

    def __enter__(self) -> Self:
        if self.process is not None:
            return self
        try:
            return self.start()
        except BaseException:
            self._clean_up()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._running().poll() is None:
                self.stop()
            if kind is None:
                assert not any(sign in self.log() for sign in TROUBLE), self.log()
        finally:
            self._clean_up()

    def _clean_up(self) -> None:
        if self.process is not None and self.process.poll() is None:
            for process in self.descendants():
                process.kill()
            self.process.kill()
            self.process.wait()
        if self._owns_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self.process is not None, "the server was not started"
        return self.process

    def _accepts(self) -> bool:
        assert self._running().poll() is None, f"the server ended with {self._running().poll()}:\n{self.log()}"
        # In production it is a line of JSON.
        pattern = r'^(?:  |.*"message":")API +(http://([^\s"]+):(\d+))(?:"}|)$'
        found = re.search(pattern, self.log()[self._said_before :], re.MULTILINE)
        if not found:
            return False
        self.url = found[1]
        try:
            socket.create_connection((found[2].strip("[]"), int(found[3])), timeout=1).close()
        except OSError:
            return False
        return True


def clean_environment(**settings: str) -> dict[str, str]:
    """The environment for a process of the gateway: the machine's own variables, none of the developer's settings."""
    kept = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "VIRTUAL_ENV", RUN_MARKER)
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONUNBUFFERED": "1",
        **settings,
    }


@cache
def template() -> Template:
    """Makes the database that servers start from, once for all tests."""
    folder = Path(mkdtemp(prefix="gateway-template-"))
    database = folder / "db.sqlite3"
    environment = clean_environment(
        **SECRETS,
        DJANGO_SETTINGS_MODULE="gateway.settings",
        GATEWAY_ENV_FILE=os.devnull,
        DATABASE_URL=f"sqlite:///{database}",
    )
    done = subprocess.run(
        [sys.executable, "-c", MAKE_TEMPLATE],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Template(database, done.stdout.strip())


def remove_template() -> None:
    """Removes the database that servers start from, if it was made."""
    if template.cache_info().currsize:
        shutil.rmtree(template().database.parent, ignore_errors=True)
        template.cache_clear()


def wait_until(condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    """Polls until the condition holds; raises AssertionError with an explanation after that many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s\n{explain()}"
        time.sleep(0.02)


def is_alive(process: psutil.Process) -> bool:
    """Tells whether a process still runs; one that ended and waits to be reaped does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
