"""The schema says how a key is sent."""

from __future__ import annotations

from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework.response import Response
from rest_framework.views import APIView

from apikeys.authentication import APIKeyAuthentication
from apikeys.permissions import HasAPIKey


class Closed(APIView):
    authentication_classes = [APIKeyAuthentication]
    permission_classes = [HasAPIKey]
    serializer_class = None

    def delete(self, _request: object) -> Response:
        return Response()


def test_any_of_three_ways_opens_a_closed_endpoint() -> None:
    schema = SchemaGenerator(patterns=[path("api/closed", Closed.as_view())]).get_schema(public=True)
    ways = ["ApiKeyHeader", "BearerKey", "BasicKey"]
    assert schema["paths"]["/api/closed"]["delete"]["security"] == [{way: []} for way in ways]
    schemes = schema["components"]["securitySchemes"]
    assert (schemes["ApiKeyHeader"]["in"], schemes["ApiKeyHeader"]["name"]) == ("header", "X-API-Key")
    assert [schemes[way]["scheme"] for way in ways[1:]] == ["bearer", "basic"]
