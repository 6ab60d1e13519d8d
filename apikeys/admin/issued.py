"""The one page that shows a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.template.response import TemplateResponse

from apikeys.description import sentence
from apikeys.snippets import snippets
from gateway.rest import base_url

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from apikeys.admin.typed import KeyModelAdmin
    from apikeys.models import Key


def issued(pages: KeyModelAdmin, request: HttpRequest, key: Key, title: str) -> HttpResponse:
    """Shows the secret of a key that was just issued or rotated, with ways to use it; it is stored nowhere."""
    context = {
        **pages.admin_site.each_context(request),
        "title": title,
        "opts": pages.opts,
        "key": key,
        "may": sentence(key),
        "snippets": snippets(key, base_url(request)),
        "media": pages.media,
    }
    response = TemplateResponse(request, "admin/apikeys/key/issued.html", context)
    response["Cache-Control"] = "no-store"
    return response
