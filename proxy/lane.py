"""The machine lane's table of views, made from the table of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from proxy.routes import ROUTES
from proxy.views import view_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.views import RelayView

VIEWS = {
    path: view_of([row for row in ROUTES if row.path == path]) for path in dict.fromkeys(row.path for row in ROUTES)
}


class Lane:
    """Finds the view of a path.

    It goes by the raw path: an encoded spelling of a path is another path, and does not exist.  Only the parameter at a
    path's end is decoded.
    """

    def __init__(self, views: Iterable[tuple[str, type[RelayView]]]) -> None:
        self.exact: dict[bytes, type[RelayView]] = {}
        self.prefixes: list[tuple[bytes, type[RelayView]]] = []
        for path, view in views:
            prefix, brace, _ = path.partition("{")
            if brace:
                self.prefixes.append((prefix.encode(), view))
            else:
                self.exact[path.encode()] = view

    def find(self, raw_path: bytes) -> tuple[type[RelayView], str] | None:
        """Returns a path's view and parameter, None where there is none."""
        view = self.exact.get(raw_path)
        return (view, "") if view is not None else self.find_prefix(raw_path)

    def find_prefix(self, raw_path: bytes) -> tuple[type[RelayView], str] | None:
        """Returns the view of a path with a parameter, and the parameter.

        An id that names a model may have a slash too many on either side; no model's name begins or ends with one.
        """
        for prefix, view in self.prefixes:
            if raw_path.startswith(prefix) and len(raw_path) > len(prefix):
                argument = raw_path[len(prefix) :]
                if view.path.endswith("{id}"):
                    argument = without_outer_slashes(argument)
                return view, unquote(argument.decode("ascii", "replace"))
        return None


def without_outer_slashes(argument: bytes) -> bytes:
    """Returns a path's parameter without one slash at each end; more than one at an end mean nothing, and stay."""
    if b"//" in argument:
        return argument
    return argument.removeprefix(b"/").removesuffix(b"/") or argument


LANE = Lane(VIEWS.items())
