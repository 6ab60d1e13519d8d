"""What this gateway is and what it serves, for programs."""

from __future__ import annotations

from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix
from drf_spectacular.utils import extend_schema

from gateway import __version__
from proxy.open import OpenView
from proxy.openapi.operations import GROUPS
from proxy.openapi.schemas import answers
from proxy.schema import document

NAME = "Ollama gateway"
DOCS = {"html": "/docs", "openapi": "/api/schema"}
EXAMPLE = {
    "name": NAME,
    "version": __version__,
    "default_model": "mistral",
    "endpoints": [{"method": "POST", "path": "/api/v1/generate", "summary": "Complete a prompt", "key": True}],
    "docs": DOCS,
}


def endpoints() -> list[dict[str, Any]]:
    """Returns the endpoints that the schema describes; `key` says whether one needs a key."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation["summary"],
            "key": bool(operation.get("security")),
        }
        for path, item in document()["paths"].items()
        for method, operation in item.items()
    ]


class InfoView(OpenView):
    """Tells what this gateway is."""

    @extend_schema(
        operation_id="get_api_info",
        summary="What this gateway is and serves",
        tags=[GROUPS["service"][0]],
        responses=answers(EXAMPLE, "The gateway, its default model and its endpoints."),
    )
    async def get(self, _request: HttpRequest) -> HttpResponse:
        """Answers name, version, default model, endpoints and where the docs are."""
        listed = await sync_to_async(endpoints, thread_sensitive=False)()
        prefix = get_script_prefix().rstrip("/")
        said = {
            **EXAMPLE,
            "default_model": settings.OLLAMA_MODEL,
            "endpoints": [{**one, "path": prefix + one["path"]} for one in listed],
            "docs": {name: prefix + path for name, path in DOCS.items()},
        }
        return HttpResponse(orjson.dumps(said), content_type="application/json")
