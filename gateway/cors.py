"""CORS: which answers a browser shows to pages of other origins, and which headers those pages may send."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from corsheaders.middleware import ACCESS_CONTROL_ALLOW_HEADERS
from corsheaders.middleware import CorsMiddleware as DjangoCorsMiddleware
from django.http import HttpResponse
from django.utils.cache import patch_vary_headers

from gateway.request import LaneRequest

if TYPE_CHECKING:
    from django.http import HttpRequest
    from django.http.response import HttpResponseBase

# A field's name (RFC 9110, 5.6.2); longer ones, and more of them in one request, are not allowed.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,80}")
MOST_HEADERS = 100
REQUESTED = "access-control-request-headers"


class CorsMiddleware(DjangoCorsMiddleware):
    """Allows every header that a page asks for: keys travel in headers, and no cookie counts on these paths."""

    def is_enabled(self, request: HttpRequest) -> bool:
        """Tells whether pages of other origins may read an answer: on the machine lane all, errors too."""
        return isinstance(request, LaneRequest) or super().is_enabled(request)

    def check_preflight(self, request: HttpRequest) -> HttpResponseBase | None:
        """Returns the answer to a preflight, None for any other request; whoever sends it names its length."""
        answer = super().check_preflight(request)
        return None if answer is None else without_length(answer)

    def add_response_headers(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Adds the headers of CORS; to those that are allowed always, the ones that a preflight asks for."""
        super().add_response_headers(request, response)
        asked = request.headers.get(REQUESTED)
        if asked and ACCESS_CONTROL_ALLOW_HEADERS in response.headers:
            allowed = response.headers[ACCESS_CONTROL_ALLOW_HEADERS].split(", ")
            more = [name for name in tokens(asked) if name not in allowed]
            response.headers[ACCESS_CONTROL_ALLOW_HEADERS] = ", ".join([*allowed, *more])
            patch_vary_headers(response, (REQUESTED,))
        return response


def without_length(response: HttpResponseBase) -> HttpResponseBase:
    """Returns a response without the headers that its server writes by itself, and without a type of no content."""
    if isinstance(response, HttpResponse):
        for name in ("Content-Length", "Content-Type"):
            response.headers.pop(name, None)
    return response


def tokens(listed: str) -> list[str]:
    """Returns the names in a header's list, in lower case; what is not a name is left out."""
    names = (name.strip().lower() for name in listed.split(",", MOST_HEADERS)[:MOST_HEADERS])
    return list(dict.fromkeys(name for name in names if TOKEN.fullmatch(name) and name != "*"))
