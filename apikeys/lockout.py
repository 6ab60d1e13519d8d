"""What happens to somebody who tries passwords at the admin's login."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def client_address(request: HttpRequest) -> str:
    """Returns the address that a login comes from: the server believes forwarded ones from trusted proxies alone."""
    return str(request.META.get("REMOTE_ADDR", ""))


def locked_out(request: HttpRequest, *_: object) -> HttpResponse:
    """Answers 429: says the same whether the name exists or not."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    message = f"Too many wrong passwords: try again in {seconds // 60} minutes."
    context = {"title": "Please wait", "message": message}
    response = render(request, "error.html", context, status=429)
    response["Retry-After"] = str(seconds)
    return response
