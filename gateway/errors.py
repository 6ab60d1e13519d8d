"""What Django's own errors look like: a small page for browsers, our JSON for everybody else."""

from __future__ import annotations

from typing import Protocol

from django.http import HttpRequest, HttpResponse

from gateway.pages import page
from gateway.rest import Refusal, error_response

MACHINE_PATHS = ("/api/", "/v1/", "/health")


class Handler(Protocol):
    """A view for an error; Django says what happened where it knows."""

    def __call__(self, request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:
        """Answers."""


def wants_page(request: HttpRequest) -> bool:
    """Tells whether somebody looks at this with a browser."""
    return not request.path.startswith(MACHINE_PATHS) and "text/html" in request.headers.get("Accept", "")


def handler(status: int, title: str, message: str) -> Handler:
    """Makes a handler for Django; what went wrong inside stays inside."""

    def handle(request: HttpRequest, exception: BaseException | None = None) -> HttpResponse:  # noqa: ARG001
        if wants_page(request):
            return page("error.html", {"title": title, "message": message}, status=status)
        return error_response(Refusal(status, message))

    return handle


bad_request = handler(400, "Bad request", "The request is malformed, or names a host that is not among ALLOWED_HOSTS.")
permission_denied = handler(403, "Not allowed", "You may not do this. Log in to the admin as somebody who may.")
page_not_found = handler(404, "Not found", "Nothing lives at this address.")
server_error = handler(
    500, "Something went wrong", "The gateway failed to answer. Its log says more under this request's X-Request-ID."
)
