"""How the schema describes the ways to send a key."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension


class APIKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call] # drf-spectacular leaves it untyped
    """One of three, in either of two headers; not both."""

    target_class = "apikeys.authentication.APIKeyAuthentication"
    name = ["ApiKeyHeader", "BearerKey", "BasicKey"]

    def get_security_definition(self, _auto_schema: object) -> list[dict[str, Any]]:
        """Returns the three schemes."""
        return [
            {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Your key, as it was shown to you."},
            {"type": "http", "scheme": "bearer", "description": "The same key, as OpenAI's clients send it."},
            {"type": "http", "scheme": "basic", "description": "The same key as the password; any user name."},
        ]

    def get_security_requirement(self, _auto_schema: object) -> list[dict[str, list[Any]]]:
        """Says that one of them is enough."""
        return [{scheme: []} for scheme in self.name]
