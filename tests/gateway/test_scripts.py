"""The scripts on a machine that has only bash and Python."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.harness import BASE_DIR, clean_environment, is_alive, wait_until

SCRIPTS = ("serve", "test", "check")
TOOLS = ("bash", "cat", "cmp", "cp", "cut", "dirname", "env", "grep", "mktemp", "rm", "tail", "tee")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without an environment, whose requirements are a line."""
    checkout = tmp_path / "checkout"
    shutil.copytree(BASE_DIR / "scripts", checkout / "scripts")
    (checkout / "requirements").mkdir()
    for name in ("base", "dev"):
        (checkout / "requirements" / f"{name}.txt").write_text("django==5.2\n")
    return checkout


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with the few tools that every system has, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def run(checkout: Path, tools: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(checkout / "scripts" / name), *arguments],
        env={"PATH": str(tools), "HOME": str(checkout)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_without_python_it_says_what_to_install(name: str, checkout: Path, tools: Path) -> None:
    done = run(checkout, tools, name)
    assert done.returncode == 1
    assert "Python 3.11 or later is needed, and none was found" in done.stderr
    assert "apt install python3 python3-venv" in done.stderr


def test_an_older_python_is_passed_over(checkout: Path, tools: Path) -> None:
    program(tools / "python3", "exit 1")
    assert "none was found" in run(checkout, tools, "serve").stderr


def test_without_the_venv_module_it_names_the_package(checkout: Path, tools: Path) -> None:
    python = "case $2 in *ensurepip*) exit 1 ;; *print*) echo 3.12 ;; esac"
    program(tools / "python3", python)
    done = run(checkout, tools, "serve")
    assert done.returncode == 1
    assert "apt install python3.12-venv" in done.stderr


def test_a_python_further_down_the_list_is_found(checkout: Path, tools: Path) -> None:
    program(tools / "python3", "exit 1")
    program(tools / "python3.12", 'case $1 in --version) echo Python 3.12 ;; -m) echo made "$@" >&2; exit 1 ;; esac')
    done = run(checkout, tools, "serve")
    assert "Making .venv with Python 3.12" in done.stderr
    assert "made -m venv" in done.stderr


@pytest.fixture
def installed(checkout: Path, tools: Path) -> Path:
    """A checkout whose environment's Python notes each call instead of doing it."""
    (checkout / ".venv" / "bin").mkdir(parents=True)
    program(checkout / ".venv" / "bin" / "python", f'echo "$@" >>{checkout}/calls')
    return checkout


def calls(checkout: Path) -> list[str]:
    lines = (checkout / "calls").read_text().splitlines()
    (checkout / "calls").unlink()
    return lines


def test_the_second_run_installs_nothing(installed: Path, tools: Path) -> None:
    run(installed, tools, "serve", "--port", "0")
    first = calls(installed)
    assert first[-1] == "manage.py serve --port 0"
    assert "--require-hashes -r requirements/base.txt" in first[-2]
    run(installed, tools, "serve", "--port", "0")
    assert calls(installed) == ["manage.py serve --port 0"]


def test_changed_requirements_are_installed(installed: Path, tools: Path) -> None:
    run(installed, tools, "serve")
    calls(installed)
    (installed / "requirements" / "base.txt").write_text("django==5.2.1\n")
    done = run(installed, tools, "serve")
    assert len(calls(installed)) > 1
    assert "Installing 1 packages" in done.stderr


def test_a_failed_install_is_told_and_tried_again(installed: Path, tools: Path) -> None:
    program(
        installed / ".venv" / "bin" / "python",
        f'echo "$@" >>{installed}/calls; case "$*" in *install*) echo "ERROR: no network"; exit 1 ;; esac',
    )
    for _ in range(2):
        done = run(installed, tools, "serve")
        assert done.returncode == 1
        assert "ERROR: no network" in done.stderr
        assert "Installing failed" in done.stderr
        assert not any("manage.py" in call for call in calls(installed))


INDEX_IS_DOWN = [
    "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError(...)': /simple/django/",
    "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.')'",
    "ERROR: HTTP error 503 while getting https://index.example.org/simple/django/",
    "pip._vendor.urllib3.exceptions.ReadTimeoutError: HTTPSConnectionPool: Read timed out.",
]


@pytest.mark.parametrize("complaint", INDEX_IS_DOWN)
def test_a_package_index_that_is_down_is_one_sentence(complaint: str, installed: Path, tools: Path) -> None:
    program(
        installed / ".venv" / "bin" / "python",
        f'case "$*" in *install*) echo "{complaint}"; echo "ERROR: No matching distribution"; exit 1 ;; esac',
    )
    done = run(installed, tools, "serve")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("The package index can't be reached, so nothing was installed")
    assert "No matching distribution" not in done.stderr
    assert complaint in (installed / ".venv" / "install.log").read_text()


def test_progress_counts_each_requirement_and_fits_a_terminal(installed: Path, tools: Path) -> None:
    (installed / "requirements" / "base.txt").write_text(
        "django==5.2\nwaitress==1 ; sys_platform == 'win32'\n" + "x" * 90 + "==1\n"
    )
    lines = ["Ignoring waitress: markers 'sys_platform' don't match", "Collecting django==5.2 (from -r base.txt)"]
    lines += ["Collecting " + "x" * 90 + "==1", "Installing collected packages: django"]
    said = "; ".join(f'echo "{line}"' for line in lines)
    program(installed / ".venv" / "bin" / "python", f'case "$*" in *install*) {said} ;; esac')
    screen = terminal(installed, tools, "serve")
    drawn = [line.replace("\x1b[K", "") for line in screen.replace("\n", "\r").split("\r")]
    assert "  1 of 3  waitress" in drawn
    assert "  2 of 3  django" in drawn
    assert "  unpacking 3 packages" in drawn
    assert max(map(len, drawn)) < 80


def terminal(checkout: Path, tools: Path, name: str) -> str:
    """Runs a script on a terminal of its own; returns what it shows."""
    screen, standard = pty.openpty()
    with subprocess.Popen(
        [str(checkout / "scripts" / name)],
        env={"PATH": str(tools), "HOME": str(checkout)},
        stdin=standard,
        stdout=standard,
        stderr=standard,
    ) as process:
        os.close(standard)
        shown = b""
        with suppress(OSError):  # Linux says so at the end
            while part := os.read(screen, 65536):
                shown += part
        os.close(screen)
        assert process.wait(60) == 0
    return shown.decode()


def test_a_broken_environment_is_made_anew(installed: Path, tools: Path) -> None:
    program(installed / ".venv" / "bin" / "python", "exit 1")
    program(tools / "python3", 'case $1 in -m) echo made "$@" >&2; exit 1 ;; esac')
    done = run(installed, tools, "serve")
    assert "made -m venv --clear .venv" in done.stderr


def test_the_tests_take_pytests_arguments(installed: Path, tools: Path) -> None:
    run(installed, tools, "test", "--long", "-k", "a or b")
    assert calls(installed)[-1] == "-m tests --long -k a or b"


def test_all_tests_say_beforehand_what_they_take(installed: Path, tools: Path) -> None:
    said = run(installed, tools, "test").stderr
    assert "10 minutes" in said
    assert "PostgreSQL, Redis, nginx and Chromium" in said


STARTS_A_SERVER = """
import time
from contextlib import suppress
from pathlib import Path

def test_that_takes_long(gateway, stub):
    Path({started!r}).touch()
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "Ctrl-C"])
@pytest.mark.parametrize("options", [[], ["--numprocesses", "1"]], ids=["alone", "in workers"])
def test_tests_that_are_ended_leave_no_process_behind(tmp_path: Path, number: int, options: list[str]) -> None:
    started = tmp_path / "started"
    file = tmp_path / "test_long.py"
    file.write_text(STARTS_A_SERVER.format(started=str(started)))
    arguments = ["-c", str(BASE_DIR / "pyproject.toml"), "-p", "tests.conftest", "-p", "no:cacheprovider", *options]
    with subprocess.Popen(
        [sys.executable, "-m", "tests", str(file), "--rootdir", str(BASE_DIR), *arguments],
        cwd=BASE_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as tests:
        wait_until(started.exists, 60)
        family = psutil.Process(tests.pid).children(recursive=True)
        servers = [process for process in family if "serve" in process.cmdline()]
        assert len(servers) == 1
        if number == signal.SIGINT:
            os.killpg(tests.pid, number)  # as a terminal does
        else:
            tests.send_signal(number)
        assert tests.wait(60) == 128 + number
    assert not [process for process in family if is_alive(process)]


@pytest.mark.parametrize("name", [*SCRIPTS, "lock"])
def test_a_script_can_be_run_and_parses(name: str) -> None:
    path = BASE_DIR / "scripts" / name
    assert path.stat().st_mode & stat.S_IXUSR
    subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.long
def test_a_fresh_clone_serves_and_starts_quickly_again(tmp_path: Path) -> None:
    """Installs everything for real: needs a package index and a minute or two."""
    subprocess.run(["git", "clone", "--quiet", str(BASE_DIR), str(tmp_path / "clone")], check=True)
    assert start_and_stop(tmp_path / "clone") < 300
    assert start_and_stop(tmp_path / "clone") < 30
    assert (tmp_path / "clone" / "first-run.txt").exists()


def start_and_stop(checkout: Path) -> float:
    """Starts a server with the script, on any port and without an Ollama; returns after how long it listens."""
    environment = clean_environment(PORT="0", ENGINE="off", **{k: v for k, v in os.environ.items() if "PIP" in k})
    began = time.monotonic()
    with subprocess.Popen(
        [str(checkout / "scripts" / "serve")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdout is not None
        while "  API " not in (line := server.stdout.readline()):
            assert line, "the server ended"
        port = int(line.rpartition(":")[2])
        wait_until(lambda: accepts(port), 60)
        took = time.monotonic() - began
        server.terminate()
        server.stdout.read()
    return took


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
