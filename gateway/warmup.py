"""Gets ready what the first page of the admin would otherwise wait for: its templates, compiled."""

from __future__ import annotations

import threading
from pathlib import Path

import unfold
from django.template.loader import get_template
from django.urls import resolve

TEMPLATES = Path(unfold.__file__).parent / "templates"
FOLDERS = ("admin", "unfold/helpers", "unfold/layouts", "unfold/components")


def warm_up() -> None:
    """Compiles the admin's templates in a thread of its own, beside the first requests."""
    threading.Thread(target=compile_all, name="warm-up", daemon=True).start()


def compile_all() -> None:
    """Compiles them; each is kept by Django's loader."""
    resolve("/admin/")
    for folder in FOLDERS:
        for path in sorted((TEMPLATES / folder).glob("*.html")):
            get_template(f"{folder}/{path.name}")
