"""What the API's schema says of the endpoints for keys."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from apikeys.api.serializers import (
    AllSharedLimits,
    KeyChanges,
    KeyChecked,
    KeyFields,
    KeyIssued,
    KeyPage,
    KeyShown,
    LimitFields,
    Rotation,
    SharedLimits,
    SharedLimitsChanged,
)

TAGS = ["Keys and usage"]
TEXT = {"type": "string"}
NEEDS = "Needs a key with the scope `keys`."


def error(says: str) -> OpenApiResponse:
    """Describes a refusal."""
    return OpenApiResponse({"type": "object", "properties": {"error": TEXT, "message": TEXT}}, says)


def example(name: str, value: Any) -> list[OpenApiExample]:
    """Returns an example of a body, ready to be sent."""
    return [OpenApiExample(name, value, request_only=True)]


def in_path(name: str, value: str, says: str) -> list[OpenApiParameter]:
    """Describes the parameter of a path, with an example."""
    return [
        OpenApiParameter(
            name, str, OpenApiParameter.PATH, description=says, examples=[OpenApiExample("For example", value)]
        )
    ]


def in_query(name: str, kind: type, value: Any, says: str) -> OpenApiParameter:
    """Describes a parameter of the query, with an example."""
    return OpenApiParameter(name, kind, description=says, examples=[OpenApiExample("For example", value)])


KEY_ID = in_path(
    "key_id", "3kTq8ZrWvN1c", "A key's id: `id` in the answer that issued it, or the second part of its secret."
)
WHOSE = in_path("whose", "team:research", "`team:NAME` or `owner:USER`.")
ALWAYS = {
    429: error("Too many invalid keys came from this address."),
    401: error("No key, or one that is not valid."),
    403: error("The key may not do this, or not from this address, or would give more than it has."),
    503: error("The database is away."),
}
BODY = {400: error("The body is not what it must be: the message says where.")}
ONE = {404: error("No key has this id.")}
FINAL = {409: error("The key is revoked, and stays as it is.")}

OWN: dict[str, Any] = {
    "operation_id": "get_api_v1_key",
    "summary": "What this key is and may do",
    "description": "For any key: what it is, until when, what it may do, and its limits.",
    "tags": TAGS,
    "responses": {200: KeyShown, **ALWAYS},
}
LIST: dict[str, Any] = {
    "operation_id": "get_api_v1_keys",
    "summary": "List the keys",
    "description": f"The newest first, in pages. {NEEDS} One that has a team or an owner sees those keys alone.",
    "tags": TAGS,
    "parameters": [
        in_query("team", str, "research", "Only keys of this team"),
        in_query("owner", str, "admin", "Only keys of this user"),
        in_query("page_size", int, 50, "Keys of one answer, 100 if not given, 500 at most"),
        OpenApiParameter("after", str, description="Where a page begins: take it from `next`"),
    ],
    "responses": {200: KeyPage, 400: error("The query is not understood."), **ALWAYS},
}
ISSUE: dict[str, Any] = {
    "operation_id": "post_api_v1_keys",
    "summary": "Issue a key",
    "description": f"`key` in the answer is the secret: it is shown this once. {NEEDS} It can't give more than it has.",
    "examples": example(
        "A key with limits",
        {
            "label": "Ana's laptop",
            "team": "research",
            "models": ["mistral", "llama3*"],
            "expires": "2099-12-31T00:00:00Z",
            "limits": {"requests_per_minute": 60, "tokens_per_day": 200_000},
        },
    ),
    "tags": TAGS,
    "request": KeyFields,
    "responses": {201: KeyIssued, **BODY, **ALWAYS},
}
SHOW: dict[str, Any] = {
    "operation_id": "get_api_v1_keys_id",
    "summary": "Show a key",
    "description": NEEDS,
    "parameters": KEY_ID,
    "tags": TAGS,
    "responses": {200: KeyChecked, **ALWAYS, **ONE},
}
CHANGE: dict[str, Any] = {
    "operation_id": "patch_api_v1_keys_id",
    "summary": "Change a key",
    "description": f"What is left out stays as it is; all servers obey within a second. {NEEDS}",
    "parameters": KEY_ID,
    "examples": example("Other limits", {"note": "Asked for more.", "limits": {"tokens_per_day": 400_000}}),
    "tags": TAGS,
    "request": KeyChanges,
    "responses": {200: KeyChecked, **BODY, **ALWAYS, **ONE, **FINAL},
}
REVOKE: dict[str, Any] = {
    "operation_id": "delete_api_v1_keys_id",
    "summary": "Revoke a key",
    "description": f"For good: all servers refuse it within a second, and requests in progress are terminated. {NEEDS}",
    "parameters": KEY_ID,
    "tags": TAGS,
    "responses": {200: KeyShown, **ALWAYS, **ONE},
}
ROTATE: dict[str, Any] = {
    "operation_id": "post_api_v1_keys_id_rotate",
    "summary": "Give a key a new secret",
    "description": f"The old one stays good for `grace` seconds, a day if not given; two live at most. {NEEDS}",
    "parameters": KEY_ID,
    "examples": example("An hour to change it", {"grace": 3600}),
    "tags": TAGS,
    "request": Rotation,
    "responses": {200: KeyIssued, **BODY, **ALWAYS, **ONE, **FINAL},
}
NOBODY = {404: error("There is no such owner, or the key may not see these limits.")}
LIMITS: dict[str, Any] = {
    "operation_id": "get_api_v1_limits",
    "summary": "List the limits of owners and teams",
    "description": f"They hold for all their keys together. {NEEDS} One that has a team or an owner sees those alone.",
    "tags": TAGS,
    "responses": {200: AllSharedLimits, **ALWAYS},
}
LIMIT: dict[str, Any] = {
    "operation_id": "get_api_v1_limits_whose",
    "summary": "Show the limits of an owner or a team",
    "description": f"`whose` is `team:NAME` or `owner:USER`. {NEEDS}",
    "parameters": WHOSE,
    "tags": TAGS,
    "responses": {200: SharedLimits, **ALWAYS, **NOBODY},
}
SET_LIMIT: dict[str, Any] = {
    "operation_id": "patch_api_v1_limits_whose",
    "summary": "Limit an owner or a team",
    "description": "What is left out stays as it is, null takes a limit away; all servers obey within a second. "
    f"{NEEDS} It must have neither rules nor limits of its own.",
    "parameters": WHOSE,
    "examples": example("A limit for all keys of a team", {"requests_per_minute": 600, "tokens_per_month": None}),
    "tags": TAGS,
    "request": LimitFields,
    "responses": {200: SharedLimitsChanged, **BODY, **ALWAYS, **NOBODY},
}
