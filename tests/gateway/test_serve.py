"""`manage.py serve`: the start, the lines that it says, the end, and every way not to start."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import BASE_DIR, GatewayServer, wait_until

Make = Callable[..., GatewayServer]


def refused(folder: Path, *arguments: str, **settings: Any) -> str:
    """Starts a server that can't start; returns its one line."""
    done = GatewayServer(ollama_url=None, folder=folder, **settings).manage("serve", *arguments, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_it_serves_where_it_says(make_gateway: Make) -> None:
    server = make_gateway()
    assert httpx.get(f"{server.url}/admin/login/").status_code == 200
    assert f"  docs   {server.url}/docs\n" in server.log()
    assert f"  admin  {server.url}/admin/\n" in server.log()


def test_it_says_which_ollama_it_uses(make_gateway: Make, stub: StubProcess) -> None:
    assert f"  Ollama {stub.url} (version " in make_gateway(OLLAMA_MODEL="stub").log()


def test_it_says_when_the_default_model_is_missing(make_gateway: Make) -> None:
    assert "without the default model: `ollama pull mistral` or set OLLAMA_MODEL" in make_gateway().log()


def test_it_serves_without_its_ollama_and_says_so(make_gateway: Make) -> None:
    server = make_gateway(ollama_url="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 (not there yet: Connection refused; start it, or set OLLAMA_URL)" in server.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_success_and_nothing_left(make_gateway: Make, number: int) -> None:
    assert make_gateway().stop(number) == 0


def test_options_win_over_settings(tmp_path: Path, stub: StubProcess) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused(tmp_path, "--host", "127.0.0.1", "--port", str(port), HOST="192.0.2.1", PORT="1")
    assert line.startswith(f"CommandError: Port {port} on 127.0.0.1 is in use: ")
    assert line.endswith(": stop what listens there, or choose another with --port or PORT.")


def test_an_option_is_checked_as_its_setting_is(tmp_path: Path) -> None:
    assert refused(tmp_path, "--port", "99999") == (
        "PORT='99999' is not allowed; allowed is at most 65535 (see docs/settings.md)"
    )


def test_an_address_of_another_machine_is_refused(tmp_path: Path) -> None:
    assert "192.0.2.1 is not an address of this machine" in refused(tmp_path, HOST="192.0.2.1")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("PORT", "http", "PORT='http' is not allowed; allowed is a whole number (see docs/settings.md)"),
        ("TLS", "1.3", "TLS='1.3' is not allowed; allowed is true or false (see docs/settings.md)"),
        ("NODE_ENV", "test", "APP_ENV (or NODE_ENV)='test' is not allowed; allowed is development or production"),
        (
            "OLLAMA_URL",
            "http://me:hunter2@gpu",
            "OLLAMA_URL=(hidden) is not allowed; allowed is a URL without user name",
        ),
        ("DATABASE_URL", "mysql://me:hunter2@host/name", "DATABASE_URL=(hidden) is not allowed; allowed is sqlite:///"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(name: str, value: str, line: str, tmp_path: Path) -> None:
    said = refused(tmp_path, **{name: value})
    assert said.startswith(line)
    assert "hunter2" not in said


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary, " * 1000)
    line = refused(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/notes.txt")
    assert line == "CommandError: The database can't be used (file is not a database): see DATABASE_URL."


def test_a_database_without_a_folder_is_told(tmp_path: Path) -> None:
    line = refused(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/nowhere/db.sqlite3")
    assert line == "CommandError: The database can't be used (unable to open database file): see DATABASE_URL."


def test_a_warning_is_told_on_the_way(make_gateway: Make) -> None:
    assert "(gateway.W001) HOST=0.0.0.0" in make_gateway(HOST="0.0.0.0").log()


def test_it_listens_on_ipv6(make_gateway: Make) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    server = make_gateway(HOST="[::1]")
    assert server.url.startswith("http://[::1]:")
    assert httpx.get(f"{server.url}/admin/login/").status_code == 200


def test_with_reload_it_serves_and_ends_as_without(tmp_path: Path, stub: StubProcess) -> None:
    with GatewayServer(ollama_url=stub.url, folder=tmp_path).start("--reload") as server:
        assert httpx.get(f"{server.url}/admin/login/").status_code == 200
        assert server.stop() == 0


def test_runserver_points_to_serve(tmp_path: Path) -> None:
    server = GatewayServer(ollama_url=None, folder=tmp_path)
    for arguments in ((), ("0.0.0.0:8000",), ("--noreload",)):
        done = server.manage("runserver", *arguments, check=False)
        assert done.returncode == 1
        assert done.stderr == (
            "CommandError: runserver can't stream answers. Use `manage.py serve` (with --reload while developing).\n"
        )


def test_ctrl_c_before_it_serves_leaves_no_traceback(tmp_path: Path) -> None:
    """A database that another process holds keeps the start waiting, and a person presses Ctrl-C."""
    server = GatewayServer(ollama_url=None, folder=tmp_path, fresh=True)
    hold = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], 0), fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with (tmp_path / "log").open("wb") as log:
            start = subprocess.Popen(
                [sys.executable, "manage.py", "serve"],
                cwd=BASE_DIR,
                env=server.environment(),
                stdout=log,
                stderr=log,
            )
        wait_until((tmp_path / "db.sqlite3").exists, 30, server.log)
        start.send_signal(signal.SIGINT)
        assert start.wait(30) == 130
        holder.terminate()
    assert "Traceback" not in server.log()
