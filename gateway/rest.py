"""DRF under asyncio: refusals, their one JSON shape, and a view whose dispatch can wait."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import get_script_prefix
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.views import APIView

log = logging.getLogger("gateway")

# Of a refusal's message so much is kept in the log and the record.
MAX_REASON = 300
# Stands for the id of the request in a public text.
REQUEST_ID = "{request_id}"
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
    505: "http_version_not_supported",
}


PARENTHESIS = re.compile(r" ?\([^()]*\)")
SENTENCE_END = re.compile(r"(?<=\.) ")


class Refusal(exceptions.APIException):
    """A request that is not served: its status, a word for programs, a sentence for people that says what to do."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        headers: Mapping[str, str] = NO_HEADERS,
        public: str = "",
    ) -> None:
        Exception.__init__(self, message)
        self.status_code = status
        self.detail: str = message  # type: ignore[assignment]  # DRF would wrap it
        self.message = message
        self.kind = kind or KINDS.get(status, "error")
        self.headers = headers
        self.public = public  # what clients read in production, where `message` is for the operator alone
        self.hint = ""  # a sentence more, for a dialect that has room for it
        self.logged = ""  # what the log and the record say in place of a message that may quote a prompt

    def client_text(self, request_id: str = "") -> str:
        """Returns what the client reads: in production no address of the upstream and no name of a setting."""
        if not settings.ENV.production:
            return self.message
        text = self.public or without_settings(self.message)
        return text.replace(REQUEST_ID, request_id or "that the header X-Request-ID has")

    @property
    def is_fault(self) -> bool:
        """Tells whether it is our doing, or Ollama's, and not the caller's."""
        return self.status_code >= 500  # noqa: PLR2004 -- HTTP's classes


def without_settings(message: str) -> str:
    """Returns a message without the parts that name settings, of the gateway or of Ollama.

    In parentheses such a part goes alone; else its sentence goes, of the first one what comes after its last colon.
    """
    name = setting_names()
    if name.search(message) is None:
        return message
    text = PARENTHESIS.sub(lambda found: "" if name.search(found[0]) else found[0], message)
    first, *others = SENTENCE_END.split(text)
    if name.search(first):
        head = name.split(first, maxsplit=1)[0]
        first = f"{head.rpartition(': ')[0] or 'The gateway could not serve this request'}."
    return " ".join([first, *(other for other in others if not name.search(other))])


@cache
def setting_names() -> re.Pattern[str]:
    """Returns what finds the name of a setting; within quotes it is a client's own word."""
    names = (field for field in type(settings.ENV).model_fields if "_" in field)
    return re.compile(rf"(?<!['\"`])\b(?:{'|'.join(names)}|OLLAMA_[A-Z_]+)\b")


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
            return Refusal(429, str(error.detail), headers={"Retry-After": "60"})
        case exceptions.APIException():
            return Refusal(error.status_code, sentence(error.detail))
        case Http404():
            return Refusal(404, "Not found. See /docs for the endpoints.")
        case PermissionDenied():
            return Refusal(403, "This is not allowed.")
        case RequestDataTooBig():
            return Refusal(413, "The request body is too large.")
        case SuspiciousOperation():
            return Refusal(400, "The request is malformed.")
    log_failure(error)
    return Refusal(500, "The gateway failed to handle this request. Its log says more under this request's id.")


def base_url(request: HttpRequest) -> str:
    """Returns the address that the client uses for the gateway, with the path prefix of a proxy."""
    return request.build_absolute_uri(get_script_prefix()).rstrip("/")


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


def error_body(refusal: Refusal, request_id: str = "") -> bytes:
    """Returns the gateway's own error shape as JSON."""
    return orjson.dumps({"error": refusal.kind, "message": f"{refusal.client_text(request_id)}{refusal.hint}"})


def error_response(error: BaseException, context: Any = None) -> HttpResponse:
    """Answers an exception in the gateway's own shape; DRF's EXCEPTION_HANDLER."""
    refusal = refusal_of(error)
    headers = dict(refusal.headers)
    if isinstance(error, exceptions.MethodNotAllowed) and isinstance(context, dict):
        headers["Allow"] = ", ".join(context["view"].allowed_methods)
    return HttpResponse(
        error_body(refusal), status=refusal.status_code, content_type="application/json", headers=headers
    )


class AsyncAPIView(APIView):
    """An APIView with coroutine handlers: DRF's authentication and permission classes without the rest of it.

    Both run here, on the event loop, and may read memory only.  An authenticator that may have to wait has a
    `prepare(request)`, which returns what is to be awaited before, or None.  There is no parser, renderer or
    negotiation: a handler takes Django's request and returns Django's response.
    """

    async def dispatch(self, request: HttpRequest) -> HttpResponseBase:  # type: ignore[override]  # a coroutine where DRF has a function
        """Authenticates, permits and handles one request; a failure becomes an answer."""
        self.request = request  # type: ignore[assignment]  # not wrapped by DRF
        try:
            await self.authenticate(request)
            for permission in self.permissions():
                if not permission.has_permission(request, self):  # type: ignore[arg-type]  # not wrapped by DRF
                    raise exceptions.PermissionDenied(getattr(permission, "message", None))
            response: HttpResponseBase = await self.handler(request)(request)
        except Exception as error:  # noqa: BLE001 -- every failure becomes an answer
            response = self.handle_exception(error)
        return response

    def handler(self, request: HttpRequest) -> Callable[[HttpRequest], Awaitable[HttpResponseBase]]:
        """Returns the coroutine of the request's method."""
        handler: Any = getattr(self, (request.method or "").lower(), self.http_method_not_allowed)
        return handler  # type: ignore[no-any-return]  # looked up by name

    async def authenticate(self, request: HttpRequest) -> None:
        """Finds out who calls; the first authenticator that knows decides."""
        request.user = None  # type: ignore[assignment]  # whoever the authenticator says
        for authenticator in self.authenticators():
            prepare = getattr(authenticator, "prepare", None)
            waits = prepare(request) if prepare is not None else None
            if waits is not None:
                await waits
            found = authenticator.authenticate(request)  # type: ignore[arg-type]  # not wrapped by DRF
            if found is not None:
                request.user = found[0]
                call = call_of(request)
                if call is not None:
                    call.principal = found[0]
                return

    @classmethod
    @cache
    def authenticators(cls) -> list[BaseAuthentication]:
        """Returns the view's authenticators; they keep no state, so one of each serves all requests."""
        return [kind() for kind in cls.authentication_classes]

    @classmethod
    @cache
    def permissions(cls) -> list[BasePermission]:
        """Returns the view's permissions, likewise."""
        return [kind() for kind in cls.permission_classes]  # type: ignore[misc]  # none of them is an operator's

    def handle_exception(self, exc: Exception) -> Any:
        """Answers a failure, with the authenticator's challenge where one is owed."""
        if isinstance(exc, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
            challenger = next(iter(self.authenticators()))
            exc.auth_header = challenger.authenticate_header(self.request)  # type: ignore[union-attr]  # DRF's own way
        return self.error_response(exc)

    def error_response(self, error: Exception) -> HttpResponse:
        """Answers in the gateway's own error shape."""
        refusal = refusal_of(error)
        call = call_of(self.request)
        if call is not None:
            call.outcome.error, call.outcome.reason = refusal.kind, refusal.message[:MAX_REASON]
        return error_response(refusal)


def call_of(request: Any) -> Any:
    """Returns the call (proxy/call.py) that stock Django serves with a request; None where nobody counts it."""
    scope = getattr(request, "scope", None)
    return scope.get("call") if scope is not None else None
