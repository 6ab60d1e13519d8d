"""The pages for people: home and the API's docs."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from gateway import __version__
from gateway.env import BASE_DIR
from gateway.rest import base_url
from proxy.health import pulse
from proxy.open import OpenView

# Nothing but what this server itself serves, no script, and no frame around it.
PLAIN = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI runs a script of ours, has its icons in data: addresses, and calls this API.
DOCS = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SHIM = BASE_DIR / "scripts" / "ollama_shim.py"
VARY = {"Vary": "Accept"}


def page(template: str, context: dict[str, Any], *, status: int = 200, policy: str = PLAIN) -> HttpResponse:
    """Renders a page that reads neither the session nor the database."""
    return HttpResponse(render_to_string(template, context), status=status, headers={"Content-Security-Policy": policy})


class HomeView(OpenView):
    """Says what this is, whether it is up, and where everything is; to programs, what Ollama says."""

    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answers the home page, or Ollama's heartbeat: the `ollama` command begins with `HEAD /`."""
        if "text/html" not in request.headers.get("Accept", ""):
            return HttpResponse(b"Ollama is running", content_type="text/plain; charset=utf-8", headers=VARY)
        context = {
            "version": __version__,
            "upstream_version": await pulse.feel(),
            "model": settings.OLLAMA_MODEL,
            "base": base_url(request),
        }
        response = page("home.html", context)
        response["Cache-Control"] = "no-store"
        response["Vary"] = "Accept"
        return response


class ShimView(OpenView):
    """Serves the relay that lends a key to programs without a place for one, for download."""

    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers the script, which holds no secret."""
        headers = {"Content-Disposition": 'attachment; filename="ollama_shim.py"', "Cache-Control": "no-cache"}
        return HttpResponse(shim(), content_type="text/x-python; charset=utf-8", headers=headers)


@cache
def shim() -> bytes:
    """Returns the script's text."""
    return SHIM.read_bytes()


class DocsView(OpenView):
    """Shows the API's docs: Swagger UI from our own static files."""

    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers the page; it fetches the schema itself."""
        return page("docs.html", {}, policy=DOCS)
