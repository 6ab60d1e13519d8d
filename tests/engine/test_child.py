"""The engine's process: it comes back when it dies, and goes when its parent goes, however that happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from engine import child
from engine.child import EngineProcess
from engine.errors import EngineError

PARENT = """
import sys, time
from pathlib import Path
from engine.child import EngineProcess
engine = EngineProcess(Path(sys.argv[1]))
engine.start()
print(engine.pid, flush=True)
time.sleep(600)
"""


def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def pid_of(engine: EngineProcess) -> int:
    assert engine.pid is not None
    return engine.pid


def is_up(engine: EngineProcess) -> bool:
    return httpx.get(f"{engine.url}/api/version", timeout=20).status_code == 200


def test_a_killed_engine_is_back_on_the_same_address(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    with EngineProcess(cache) as engine:
        url, pid = engine.url, pid_of(engine)
        os.kill(pid, signal.SIGKILL)
        # The socket outlives the child, so this request waits for the next one instead of being refused.
        until(lambda: engine.pid != pid)
        assert is_up(engine)
        assert engine.url == url
    assert "SIGKILL" in caplog.text


def test_it_has_none_of_the_gateways_secrets_and_does_not_listen_to_its_signals(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_PEPPER", "very secret")
    with EngineProcess(cache) as engine:
        pid = pid_of(engine)
        assert "very secret" not in psutil.Process(pid).environ().values()
        assert os.getpgid(pid) != os.getpgid(0)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
        assert is_up(engine)
        assert engine.pid == pid


def test_stopping_leaves_no_process_and_no_port_and_can_be_repeated(cache: Path) -> None:
    engine = EngineProcess(cache)
    engine.start()
    pid = pid_of(engine)
    engine.stop()
    engine.stop()
    assert is_gone(pid)
    with pytest.raises(httpx.ConnectError):
        httpx.get(engine.url)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_however_that_ends(cache: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(cache)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.send_signal(number)
        parent.wait()
        until(lambda: is_gone(pid))


def test_a_file_that_is_no_model_stops_the_start_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"no model")
    monkeypatch.setattr(child, "fetch", lambda _: broken)
    engine = EngineProcess(tmp_path)
    with pytest.raises(EngineError, match=r"can't load .*broken\.gguf"):
        engine.start()
    assert is_gone(pid_of(engine))


def test_a_port_in_use_is_named(engine: EngineProcess, cache: Path) -> None:
    with pytest.raises(EngineError, match=f"port {engine.port}"):
        EngineProcess(cache, engine.port).start()


def test_one_that_can_no_longer_start_is_given_up_and_refuses_its_callers(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(child, "PAUSES", (0.0,))
    with EngineProcess(cache) as engine:
        monkeypatch.setattr(engine, "_model", tmp_path / "missing.gguf")
        os.kill(pid_of(engine), signal.SIGKILL)

        def is_refused() -> bool:
            try:
                httpx.get(engine.url, timeout=5)
            except httpx.ConnectError:
                return True
            except httpx.HTTPError:
                return False
            return False

        until(is_refused)
    assert "restart the gateway" in caplog.text
