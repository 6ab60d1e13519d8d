"""A real nginx in a folder of its own, for the blocks that the documentation shows."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import wait_until

CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        {server}
    }}
}}
"""


def program(name: str) -> str:
    """Returns where a program is; skips the test without it."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed here: see .ci/run")
    return found


@contextmanager
def nginx(folder: Path, server: str, answers: Callable[[], bool]) -> Iterator[None]:
    """Runs an nginx with these lines as its server, once it answers; raises AssertionError with what it says if not."""
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(folder=folder, server=server))
    command = [program("nginx"), "-p", str(folder), "-c", str(file)]
    with (folder / "nginx.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            wait_until(lambda: process.poll() is None and answers(), 10, (folder / "nginx.log").read_text)
            yield
        finally:
            process.terminate()
