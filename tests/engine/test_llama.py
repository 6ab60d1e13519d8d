"""A native library that can't be loaded is explained."""

from __future__ import annotations

import importlib

import pytest

from engine.errors import EngineError
from engine.llama import load_library


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("libgomp.so.1: cannot open shared object file: No such file or directory", "libgomp1"),
        ("No module named 'xllamacpp'", "requirements/engine.txt"),
        ("/lib/libc.so.6: version `GLIBC_2.99' not found", "GLIBC_2.99"),
    ],
)
def test_the_missing_piece_is_named(monkeypatch: pytest.MonkeyPatch, reason: str, says: str) -> None:
    def fail(_: str) -> None:
        raise ImportError(reason)

    monkeypatch.setattr(importlib, "import_module", fail)
    with pytest.raises(EngineError, match=says):
        load_library()
