"""What Django's own errors look like: a small page for browsers, our JSON for everybody else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple, Protocol

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from gateway.pages import page
from gateway.rest import Refusal, error_response

MACHINE_PATHS = ("/api/", "/v1/", "/health")
NOT_FOUND = (
    "Not found. See GET /api/info for the endpoints. Base URL for OpenAI clients: this server's address and /v1; for "
    "Ollama and Anthropic clients: this server's address."
)

log = logging.getLogger("gateway")


class CSRFCause(NamedTuple):
    """Why a form failed its CSRF check: for whoever sent it, and for the operator."""

    text: str
    setting: str


class Handler(Protocol):
    """A view for an error; Django says what happened where it knows."""

    def __call__(self, request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:
        """Answers."""


def is_browser(request: HttpRequest) -> bool:
    """Tells whether somebody looks at the answer with a browser."""
    return "text/html" in request.headers.get("Accept", "")


def wants_page(request: HttpRequest) -> bool:
    """Tells whether an error is to be a page: on the paths of programs, browsers get JSON too."""
    return is_browser(request) and not request.path_info.startswith(MACHINE_PATHS)


def handler(status: int, title: str, message: str, wants_page: Callable[[HttpRequest], bool] = wants_page) -> Handler:
    """Makes a handler for Django; what went wrong inside stays inside."""

    def handle(request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:  # noqa: ARG001
        if wants_page(request):
            text = Refusal(status, message).client_text()
            return page("error.html", {"title": title, "message": text}, status=status)
        return error_response(Refusal(status, message))

    return handle


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answers a form whose CSRF check failed, with the cause as far as the request tells it; logs what to set."""
    cause = csrf_cause(request)
    if cause is not None:
        log.warning("A form was refused (%s). %s", reason, cause.setting)
    context = {"cause": "" if cause is None else cause.text}
    return page("403_csrf.html", context, status=403)


def csrf_cause(request: HttpRequest) -> CSRFCause | None:
    """Returns why an honest form fails here; None where nothing in the request tells."""
    origin, own = request.headers.get("Origin", ""), f"{request.scheme}://{request.get_host()}"
    has_cookie = settings.CSRF_COOKIE_NAME in request.COOKIES
    if settings.CSRF_COOKIE_SECURE and not has_cookie and not origin.startswith("https://") and not request.is_secure():
        return CSRFCause(
            "This page was opened over HTTP, and its cookies travel over HTTPS alone: open it with https://.",
            "Let people open the admin over HTTPS, or set TLS=off on a plain-HTTP network that is yours alone.",
        )
    if origin not in ("", "null", own):
        return CSRFCause(
            f"Your browser is at {origin}, but the request arrived as one for {own}: the proxy in between must pass "
            "the original Host with its port, and the scheme.",
            "Let the proxy send Host with its port (nginx: proxy_set_header Host $http_host) and X-Forwarded-Proto, "
            "and name the proxy in TRUSTED_PROXIES.",
        )
    if not has_cookie:
        return CSRFCause("Your browser sent no cookie: allow cookies for this site.", "The browser sent no cookie.")
    return None


nul_in_query = handler(400, "Bad request", "A path or a query holds no NUL characters.")
bad_request = handler(400, "Bad request", "The request is malformed, or names a host that is not among ALLOWED_HOSTS.")
permission_denied = handler(403, "Not allowed", "You don't have permission. Sign in with an account that does.")
# Whoever mistypes an address in a browser gets a page, also where an API begins.
page_not_found = handler(404, "Not found", NOT_FOUND, wants_page=is_browser)
server_error = handler(
    500, "Something went wrong", "The gateway failed to answer. Its log says more under this request's X-Request-ID."
)
