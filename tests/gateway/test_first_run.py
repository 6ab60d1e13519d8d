"""The first run: an admin and a key, told once, and never made again."""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import BASE_DIR, GatewayServer, wait_until

Make = Callable[..., GatewayServer]


@pytest.fixture
def server(stub: StubProcess, tmp_path: Path) -> Iterator[GatewayServer]:
    """A server on its first run, without a terminal."""
    with GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True) as first:
        yield first


def account(server: GatewayServer) -> str:
    return (server.folder / "first-run.txt").read_text()


def key_in(text: str) -> str:
    found = re.search(r"^  API key  (ollama_\w+)\s*$", text, re.MULTILINE)
    assert found, text
    return found[1]


def password_in(text: str) -> str:
    found = re.search(r"user admin, password (\S+)", text)
    assert found, text
    return found[1]


def log_in(server: GatewayServer, password: str) -> bool:
    with httpx.Client(base_url=server.url) as browser:
        browser.get("/admin/login/")
        form = {"username": "admin", "password": password, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        return browser.post("/admin/login/", data=form, headers={"Referer": server.url}).status_code == 302


def paste(line: str) -> str:
    """Runs the command line as a person would who pastes it."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, timeout=30).stdout


def test_it_works(server: GatewayServer) -> None:
    assert log_in(server, password_in(account(server)))
    answer = httpx.post(
        f"{server.url}/api/v1/generate", headers={"X-API-Key": key_in(account(server))}, json={"prompt": "Hi"}
    )
    assert answer.status_code == 200


def test_the_file_is_private_and_its_path_is_said(server: GatewayServer) -> None:
    path = server.folder / "first-run.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"are in {path};" in server.log()


def test_the_secrets_are_in_no_log(server: GatewayServer) -> None:
    assert key_in(account(server)) not in server.log()
    assert password_in(account(server)) not in server.log()


def test_the_database_is_private(server: GatewayServer) -> None:
    assert stat.S_IMODE((server.folder / "db.sqlite3").stat().st_mode) == 0o600


def test_the_pasted_line_streams(server: GatewayServer) -> None:
    (line,) = (line for line in account(server).splitlines() if line.startswith("  curl "))
    events = paste(line).split("\n\n")
    assert len(events) > 2
    assert all(event.startswith("data: {") for event in events[:-1])
    assert '"done":true' in events[-2]


def test_the_pasted_line_works_under_any_name_that_is_allowed(stub: StubProcess, tmp_path: Path) -> None:
    with GatewayServer(
        ollama_url=stub.url, folder=tmp_path, fresh=True, ALLOWED_HOSTS=".example.org", HOST="0.0.0.0"
    ) as server:
        (line,) = (line for line in account(server).splitlines() if line.startswith("  curl "))
        assert "-H 'Host: example.org'" in line
        assert '"done":true' in paste(line)


def test_a_second_start_keeps_everything(server: GatewayServer) -> None:
    before = account(server)
    env = (server.folder / ".env").read_bytes()
    server.stop()
    server.start()
    assert server.log().count("First run") == 1
    assert account(server) == before
    assert (server.folder / ".env").read_bytes() == env
    assert log_in(server, password_in(before))
    answer = httpx.post(f"{server.url}/api/v1/generate", headers={"X-API-Key": key_in(before)}, json={"prompt": "Hi"})
    assert answer.status_code == 200


def test_what_was_removed_on_purpose_does_not_come_back(server: GatewayServer) -> None:
    server.stop()
    (server.folder / "first-run.txt").unlink()
    with sqlite3.connect(server.folder / "db.sqlite3") as database:
        for table in ("apikeys_key", "django_admin_log", "auth_user"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608 -- three known names
    database.close()
    server.start()
    assert not (server.folder / "first-run.txt").exists()
    assert count(server, "auth_user") == count(server, "apikeys_key") == 0


def count(server: GatewayServer, table: str) -> int:
    database = sqlite3.connect(server.folder / "db.sqlite3")
    try:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608 -- ours
    finally:
        database.close()


def test_a_key_made_before_is_enough(stub: StubProcess, tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True)
    server.manage("migrate")
    server.manage("createapikey", "mine", "--quiet")
    with server:
        assert "API key" not in account(server)
        assert log_in(server, password_in(account(server)))
        assert count(server, "apikeys_key") == 1


def test_an_admin_made_before_is_enough(stub: StubProcess, tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True)
    server.manage("migrate")
    server.manage(
        "shell", "-c", "from django.contrib.auth.models import User; User.objects.create_superuser('ana', password='x')"
    )
    with server:
        assert "password" not in account(server)
        assert key_in(account(server))
        assert count(server, "auth_user") == 1


def test_an_older_file_is_replaced_with_its_mode(stub: StubProcess, tmp_path: Path) -> None:
    path = tmp_path / "first-run.txt"
    path.write_text("of a database that is gone")
    path.chmod(0o644)
    with GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True) as server:
        assert key_in(account(server))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_start_whose_secrets_have_no_place_makes_none(stub: StubProcess, tmp_path: Path) -> None:
    (tmp_path / "first-run.txt").mkdir()
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True)
    done = server.manage("serve", check=False)
    assert done.returncode == 1
    assert "can't be written to" in done.stderr
    assert "start once on a terminal, or make them yourself" in done.stderr
    assert "Traceback" not in done.stderr
    assert count(server, "auth_user") == count(server, "apikeys_key") == count(server, "gateway_firstrun") == 0
    (tmp_path / "first-run.txt").rmdir()
    with server:
        assert key_in(account(server))


def test_two_first_starts_at_once_make_one_admin_and_one_key(stub: StubProcess, tmp_path: Path) -> None:
    one = GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True)
    starts = [
        subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=BASE_DIR,
            env=one.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    try:
        wait_until((tmp_path / "first-run.txt").exists, 30)
    finally:
        for start in starts:
            start.terminate()
        said = [start.communicate(timeout=30)[0] for start in starts]
    assert not any("Traceback" in text for text in said), said
    assert count(one, "auth_user") == count(one, "apikeys_key") == 1


def test_on_a_terminal_it_is_shown_once_and_kept_nowhere(stub: StubProcess, tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=stub.url, folder=tmp_path, fresh=True)
    with Terminal(server) as terminal:
        wait_until(lambda: "/api/v1/generate" in terminal.screen(), 30, terminal.screen)
        assert "This is shown once" in terminal.screen()
        (line,) = (line for line in terminal.screen().splitlines() if line.startswith("  curl "))
        wait_until(lambda: answers(shlex.split(line)[-1]), 30, terminal.screen)
        assert '"done":true' in paste(line)
    assert not (tmp_path / "first-run.txt").exists()
    with Terminal(server) as terminal:
        wait_until(lambda: "  Ollama " in terminal.screen(), 30, terminal.screen)
        wait_until(lambda: answers(re.findall(r"API +(http\S+)", terminal.screen())[0]), 30, terminal.screen)
        assert "shown once" not in terminal.screen()


def answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


class Terminal:
    """A server started by a person at a terminal, and what the person sees."""

    def __init__(self, server: GatewayServer) -> None:
        self._ours, theirs = pty.openpty()
        os.set_blocking(self._ours, False)
        self._seen = b""
        self._process = subprocess.Popen(
            [sys.executable, "manage.py", "serve"],
            cwd=BASE_DIR,
            env=server.environment(),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    def screen(self) -> str:
        try:
            while piece := os.read(self._ours, 65536):
                self._seen += piece
        except OSError:  # nothing new, or the other side has closed
            pass
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(30) == 0
        assert "Traceback" not in self.screen()
        os.close(self._ours)
