"""The machine lane's table of views, made from the table of routes."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import Any

from proxy.routes import ROUTES
from proxy.views import view_of

VIEWS = {path: view_of(list(rows)) for path, rows in groupby(sorted(ROUTES, key=attrgetter("path")), attrgetter("path"))}

# By the raw path: an encoded spelling of a path is another path, and does not exist.
LANE: dict[bytes, dict[str, Any]] = {
    path.encode(): dict.fromkeys(view.routes, view.as_view()) for path, view in VIEWS.items()
}
