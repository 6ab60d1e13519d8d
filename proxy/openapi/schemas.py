"""JSON schemas, made from Python's types and from examples."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

Schema = dict[str, Any]

TYPES: dict[type, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    list: {"type": "array", "items": {}},
    dict: {"type": "object"},
}


def schema_of(value: Any) -> Schema:
    """Returns the schema of values like this one."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {name: schema_of(each) for name, each in value.items()}}
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0]) if value else {}}
    return {} if value is None else TYPES[type(value)]


def answers(example: Any, description: str) -> OpenApiResponse:
    """Describes an answer by an example of it, as drf-spectacular takes it."""
    return OpenApiResponse(schema_of(example), description, [OpenApiExample("An answer", example)])
