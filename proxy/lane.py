"""The machine lane's table of views, made from the table of routes."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from proxy.routes import ROUTES
from proxy.views import view_of

VIEWS = {
    path: view_of(list(rows)) for path, rows in groupby(sorted(ROUTES, key=attrgetter("path")), attrgetter("path"))
}

# By the raw path: an encoded spelling of a path is another path, and does not exist.
LANE = {path.encode(): view for path, view in VIEWS.items()}
