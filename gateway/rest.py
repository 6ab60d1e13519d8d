"""DRF under asyncio: refusals, their one JSON shape, and a view whose dispatch can wait."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from inspect import isawaitable
from types import MappingProxyType
from typing import Any

import orjson
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.views import APIView

log = logging.getLogger("gateway")

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

# A status' word for programs, where nothing more precise is known.
KINDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "payload_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    431: "headers_too_large",
    500: "internal_error",
    502: "bad_gateway",
    503: "unavailable",
    504: "upstream_timeout",
}


class Refusal(exceptions.APIException):
    """A request that is not served: its status, a word for programs, a sentence for people that says what to do."""

    def __init__(
        self, status: int, message: str, *, kind: str | None = None, headers: Mapping[str, str] = NO_HEADERS
    ) -> None:
        Exception.__init__(self, message)
        self.status_code = status
        self.detail = self.message = message
        self.kind = kind or KINDS.get(status, "error")
        self.headers = headers


def refusal_of(error: BaseException) -> Refusal:
    """Turns any exception into the refusal that its client sees; what nobody foresaw is logged and becomes a 500."""
    match error:
        case Refusal():
            return error
        case exceptions.AuthenticationFailed() | exceptions.NotAuthenticated():
            challenge = getattr(error, "auth_header", None) or "Bearer"
            return Refusal(401, str(error.detail), headers={"WWW-Authenticate": challenge})
        case exceptions.MethodNotAllowed():
            return Refusal(405, f"{error.detail} See /docs for the endpoints and their methods.")
        case exceptions.Throttled():
            wait = str(int(error.wait or 1) + 1)
            return Refusal(429, str(error.detail), headers={"Retry-After": wait})
        case exceptions.APIException():
            return Refusal(error.status_code, sentence(error.detail))
        case Http404():
            return Refusal(404, "Nothing lives at this path. See /docs for the endpoints.")
        case PermissionDenied():
            return Refusal(403, "This is not allowed.")
        case RequestDataTooBig():
            return Refusal(413, "The request body is too large.")
        case SuspiciousOperation():
            return Refusal(400, "The request is malformed.")
    log_failure(error)
    return Refusal(500, "The gateway failed to handle this request. Its log says more under this request's id.")


def sentence(detail: Any) -> str:
    """Flattens DRF's error details into text."""
    if isinstance(detail, dict):
        return " ".join(f"{field}: {sentence(value)}" for field, value in detail.items())
    if isinstance(detail, list):
        return " ".join(sentence(value) for value in detail)
    return str(detail)


def log_failure(error: BaseException) -> None:
    """Logs where an unforeseen error happened; its text stays out, since it may quote a prompt or a secret."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("Unforeseen %s\n%s", type(error).__qualname__, frames)


def error_body(refusal: Refusal) -> bytes:
    """Returns the gateway's own error shape as JSON."""
    return orjson.dumps({"error": refusal.kind, "message": refusal.message})


def error_response(error: BaseException, context: Any = None) -> HttpResponse:  # noqa: ARG001 -- DRF passes a context
    """Answers an exception in the gateway's own shape; DRF's EXCEPTION_HANDLER."""
    refusal = refusal_of(error)
    return HttpResponse(
        error_body(refusal),
        status=refusal.status_code,
        content_type="application/json",
        headers=dict(refusal.headers),
    )


class FirstChoice(BaseContentNegotiation):
    """Takes the view's first parser and renderer: an API that speaks JSON need not answer 406 to `text/event-stream`."""

    def select_parser(self, request: Any, parsers: Any) -> Any:  # noqa: ARG002 -- DRF's signature
        """Returns the first parser."""
        return parsers[0]

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:  # noqa: ARG002 -- DRF's signature
        """Returns the first renderer."""
        return renderers[0], renderers[0].media_type


class AsyncAPIView(APIView):
    """An APIView with coroutine handlers.

    Authenticators and permissions stay DRF's own synchronous classes and run here, on the event loop: they may read
    memory only.  An authenticator that needs to wait first has an `aprepare(request)` coroutine.
    """

    content_negotiation_class = FirstChoice

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override] -- a coroutine where DRF has a function
        """Runs one request through authentication, permissions and the handler of its method."""
        self.args, self.kwargs = args, kwargs
        self.request = drf_request = self.initialize_request(request, *args, **kwargs)
        self.headers: dict[str, str] = {}
        try:
            await self.ainitial(drf_request)
            handler = getattr(self, (request.method or "").lower(), self.http_method_not_allowed)
            response = handler(drf_request, *args, **kwargs)
            if isawaitable(response):
                response = await response
        except Exception as error:  # noqa: BLE001 -- every failure becomes an answer
            response = self.handle_exception(error)
        finished: HttpResponseBase = self.finalize_response(drf_request, response, *args, **kwargs)
        return finished

    async def ainitial(self, request: Any) -> None:
        """Authenticates and permits, in DRF's order."""
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        for authenticator in request.authenticators:
            prepare = getattr(authenticator, "aprepare", None)
            if prepare is not None:
                await prepare(request)
        self.perform_authentication(request)
        self.check_permissions(request)

    def handle_exception(self, exc: Exception) -> Any:
        """Answers a failure, with the authenticator's challenge where one is owed."""
        if isinstance(exc, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
            exc.auth_header = self.get_authenticate_header(self.request)  # type: ignore[attr-defined] -- DRF's own way
        return self.error_response(exc)

    def error_response(self, error: Exception) -> HttpResponse:
        """Answers in the gateway's own error shape."""
        return error_response(error)
