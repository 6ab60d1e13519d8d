"""The errors that routes can answer, each with a real one as its example."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from django.conf import settings

from apikeys.authentication import CHALLENGE, NOT_VALID
from gateway.rest import Refusal
from proxy.exceptions import (
    BadBody,
    BodyTooLarge,
    Busy,
    EncodedBody,
    ModelNotFound,
    ScopeMissing,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from proxy.openapi.schemas import TYPES, schema_of

if TYPE_CHECKING:
    from proxy.dialects.base import Surface
    from proxy.openapi.schemas import Schema

REQUEST_ID = "6f1d0c2e9b7a4d3f8e5c1a20"
REASONS = {
    400: "The body is not what this endpoint takes: the message says what is wrong, and where.",
    401: "No key, or one that is not valid.",
    403: "The key may not do this, or the model runs in Ollama's cloud, which is off here.",
    404: "There is no such model on this Ollama.",
    413: "The body is larger than the gateway takes.",
    415: "The body's Content-Encoding is not supported: zstd, br, gzip and deflate are.",
    429: "Too many requests: wait for as long as `Retry-After` says.",
    502: "Ollama can't be reached, or broke off.",
    503: "The gateway or Ollama is too busy, or stopping: try again.",
    504: "Ollama was silent for too long.",
}


def reference(surface: Surface, status: int) -> Schema:
    """Points to an error's description."""
    return {"$ref": f"#/components/responses/{surface.name}-{status}"}


def errors(surface: Surface) -> dict[str, Schema]:
    """Describes the errors of a surface, by the names that `reference` uses; each example is a real one."""
    return {f"{surface.name}-{refusal.status_code}": error(surface, refusal) for refusal in refusals()}


def error(surface: Surface, refusal: Refusal) -> Schema:
    """Describes one error."""
    example = orjson.loads(surface.error(refusal, REQUEST_ID))
    headers = {name: {"schema": TYPES[str], "example": value} for name, value in refusal.headers.items()}
    described: Schema = {
        "description": REASONS[refusal.status_code],
        "content": {"application/json": {"schema": schema_of(example), "example": example}},
    }
    if headers:
        described["headers"] = headers
    return described


def refusals() -> list[Refusal]:
    """Returns one refusal of each status."""
    return [
        BadBody("'prompt' is missing: the request needs it."),
        Refusal(401, NOT_VALID, headers={"WWW-Authenticate": CHALLENGE}),
        ScopeMissing("inference"),
        ModelNotFound(settings.OLLAMA_MODEL),
        BodyTooLarge(settings.ENV.MAX_BODY_BYTES),
        EncodedBody("compress"),
        Refusal(429, "Too many requests: try again in a moment.", headers={"Retry-After": "1"}),
        UpstreamUnreachable("http://localhost:11434"),
        Busy(),
        UpstreamTimeout("UPSTREAM_FIRST_BYTE_TIMEOUT", settings.ENV.UPSTREAM_FIRST_BYTE_TIMEOUT),
    ]
