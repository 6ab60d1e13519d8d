"""The API's schema as programs and the docs page fetch it: made once, then served from memory."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.urls import get_script_prefix
from drf_spectacular.utils import OpenApiResponse, extend_schema

from gateway.rest import base_url
from proxy.open import OpenView
from proxy.openapi.generator import GatewaySchema
from proxy.openapi.operations import ADDRESS, GROUPS


@cache
def document() -> dict[str, Any]:
    """Returns the schema; the first time takes some tenths of a second."""
    schema: dict[str, Any] = GatewaySchema().get_schema(public=True)
    return schema


@cache
def written() -> bytes:
    """Returns the schema as JSON."""
    return orjson.dumps(document())


class SchemaView(OpenView):
    """Serves the schema."""

    @extend_schema(
        operation_id="get_api_schema",
        summary="This description of the API",
        description="OpenAPI 3, as JSON.",
        tags=[GROUPS["service"][0]],
        responses=OpenApiResponse({"type": "object"}, "The schema."),
    )
    async def get(self, request: HttpRequest) -> HttpResponse:
        """Answers the schema, with the address that the caller used in its examples."""
        content = await sync_to_async(written, thread_sensitive=False)()
        content = content.replace(ADDRESS.encode(), base_url(request).encode())
        if prefix := get_script_prefix().rstrip("/"):
            # Relative: the scheme that the browser uses may be known to a proxy alone.
            content = content[:-1] + b"," + orjson.dumps({"servers": [{"url": prefix}]})[1:]
        return HttpResponse(content, content_type="application/json")
