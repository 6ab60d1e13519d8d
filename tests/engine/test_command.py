"""`manage.py engine`: the demo engine alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_answers_without_a_database_and_ends_when_told(
    cache: Path, tmp_path: Path, number: signal.Signals
) -> None:
    environment = {**os.environ, "ENGINE_CACHE": str(cache), "DATABASE_URL": f"sqlite:///{tmp_path}/none/db.sqlite3"}
    with subprocess.Popen(
        [sys.executable, "manage.py", "engine"],
        cwd=ROOT,
        env=environment | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"The demo model .*135 M parameters.* answers at (http://127\.0\.0\.1:\d+)\n", line)
        assert found, line + process.stderr.read()
        assert httpx.get(f"{found[1]}/api/tags").json()["models"][0]["name"] == "smollm2:135m"
        process.send_signal(number)
        process.wait(20)
        assert "Traceback" not in process.stderr.read()
