"""Errors in each dialect, to the byte; and which dialect a path speaks."""

from __future__ import annotations

import json

import pytest

from gateway.rest import Refusal
from proxy.dialects.anthropic import ANTHROPIC
from proxy.dialects.base import Surface
from proxy.dialects.native import NATIVE
from proxy.dialects.openai import OPENAI
from proxy.dialects.ours import OURS
from proxy.exceptions import ModelNotFound
from proxy.surfaces import surface_of

REFUSAL = Refusal(429, 'too "much"', kind="rate_limited")


def test_the_gateways_own_shape() -> None:
    body = b'{"error":"rate_limited","message":"too \\"much\\""}'
    assert OURS.error(REFUSAL, "id") == body
    assert OURS.error_event(REFUSAL, "id") == b"event: error\ndata: " + body + b"\n\n"


def test_ollamas_shape() -> None:
    body = b'{"error":"too \\"much\\""}'
    assert NATIVE.error(REFUSAL, "id") == body
    assert NATIVE.error_event(REFUSAL, "id") == body + b"\n"


def test_openais_shape() -> None:
    body = b'{"error":{"message":"too \\"much\\"","type":"rate_limit_error","param":null,"code":"rate_limited"}}'
    assert OPENAI.error(REFUSAL, "id") == body
    assert OPENAI.error_event(REFUSAL, "id") == b"data: " + body + b"\n\n"


def test_anthropics_shape() -> None:
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"too \\"much\\""},"request_id":"id"}'
    assert ANTHROPIC.error(REFUSAL, "id") == body
    assert ANTHROPIC.error_event(REFUSAL, "id") == b"event: error\ndata: " + body + b"\n\n"


@pytest.mark.parametrize(
    ("status", "openai", "anthropic"),
    [
        (400, "invalid_request_error", "invalid_request_error"),
        (401, "authentication_error", "authentication_error"),
        (403, "permission_error", "permission_error"),
        (404, "not_found_error", "not_found_error"),
        (405, "invalid_request_error", "invalid_request_error"),
        (408, "invalid_request_error", "invalid_request_error"),
        (413, "invalid_request_error", "request_too_large"),
        (415, "invalid_request_error", "invalid_request_error"),
        (429, "rate_limit_error", "rate_limit_error"),
        (499, "invalid_request_error", "invalid_request_error"),
        (500, "api_error", "api_error"),
        (502, "api_error", "api_error"),
        (503, "api_error", "overloaded_error"),
        (504, "api_error", "api_error"),
        (529, "api_error", "overloaded_error"),
    ],
)
def test_each_status_has_its_type(status: int, openai: str, anthropic: str) -> None:
    refusal = Refusal(status, "x")
    assert json.loads(OPENAI.error(refusal, ""))["error"]["type"] == openai
    assert json.loads(ANTHROPIC.error(refusal, ""))["error"]["type"] == anthropic


def test_only_the_gateways_own_shape_has_room_for_a_hint() -> None:
    refusal = ModelNotFound("x")
    assert json.loads(NATIVE.error(refusal, "")) == {"error": "model 'x' not found"}
    assert json.loads(OPENAI.error(refusal, ""))["error"]["message"] == "model 'x' not found"
    assert "GET /api/tags" in json.loads(OURS.error(refusal, ""))["message"]


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/api/v1/generate", OURS),
        ("/api/v1/chat", OURS),
        ("/api/v1/completions", OURS),
        ("/api/v1/nothing", OURS),
        ("/api/v1/chat/completions", OPENAI),
        ("/api/v1/embeddings", OPENAI),
        ("/api/v1/models", OPENAI),
        ("/api/v1/models/me/mine", OPENAI),
        ("/api/chat", NATIVE),
        ("/api/nothing", NATIVE),
        ("/v1/chat/completions", OPENAI),
        ("/v1/nothing", OPENAI),
        ("/v1/messages", ANTHROPIC),
        ("/v1/messages/count_tokens", ANTHROPIC),
        ("/v1/messages/batches", ANTHROPIC),
        ("/nothing", OURS),
        ("//api/chat", OURS),
    ],
)
def test_a_path_speaks_the_dialect_of_its_prefix(path: str, surface: Surface) -> None:
    assert surface_of(path, {}) is surface


def test_an_anthropic_client_hears_its_own_dialect_on_openais_paths() -> None:
    meta = {"HTTP_ANTHROPIC_VERSION": "2023-06-01"}
    assert surface_of("/v1/models", meta) is ANTHROPIC
    assert surface_of("/v1/nothing", meta) is ANTHROPIC
    assert surface_of("/api/tags", meta) is NATIVE
    assert surface_of("/api/v1/generate", meta) is OURS
