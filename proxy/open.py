"""What the gateway answers without a key and without Ollama: the base of its own endpoints."""

from __future__ import annotations

from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse

from gateway.rest import AsyncAPIView
from proxy.exceptions import NoMethod


class OpenView(AsyncAPIView):
    """A view that anybody may read: GET as its subclass says, HEAD likewise, OPTIONS with what is taken."""

    async def options(  # type: ignore[override]  # a coroutine, as all handlers here
        self, _request: HttpRequest, *_args: Any, **_named: Any
    ) -> HttpResponse:
        """Says which methods are taken."""
        response = HttpResponse(headers={"Allow": ", ".join(self.taken())})
        del response["Content-Type"]
        return response

    def http_method_not_allowed(self, request: HttpRequest, *_args: Any, **_named: Any) -> NoReturn:
        """Raises NoMethod."""
        raise NoMethod(request.method or "", self.taken())

    def taken(self) -> list[str]:
        """Returns the methods that are taken."""
        return sorted(name.upper() for name in self.http_method_names if hasattr(self, name))
