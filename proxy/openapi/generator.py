"""drf-spectacular, taught to read the table of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.generators import EndpointEnumerator, SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.settings import spectacular_settings

from proxy.openapi.errors import errors
from proxy.openapi.operations import GROUPS, operation
from proxy.routes import ROUTES

if TYPE_CHECKING:
    from drf_spectacular.plumbing import ComponentRegistry

    from proxy.openapi.schemas import Schema
    from proxy.views import RelayView


class RouteSchema(AutoSchema):
    """Describes a view of the machine lane by its rows."""

    def get_operation(
        self,
        path: str,  # noqa: ARG002 -- drf-spectacular's signature, and below
        path_regex: str,  # noqa: ARG002
        path_prefix: str,  # noqa: ARG002
        method: str,
        registry: ComponentRegistry,
    ) -> Schema:
        """Returns the operation of one of the view's rows."""
        self.registry = registry
        return operation(cast("RelayView", self.view).routes[method], self.get_auth())


class Endpoints(EndpointEnumerator):
    """Finds the endpoints, and the rows for HEAD among them, which DRF leaves out."""

    def get_allowed_methods(self, callback: Any) -> list[str]:
        """Returns a view's methods."""
        methods: list[str] = super().get_allowed_methods(callback)  # type: ignore[no-untyped-call]  # likewise
        return [*methods, "HEAD"] if "HEAD" in getattr(callback.cls, "routes", ()) else methods


class GatewaySchema(SchemaGenerator):
    """Describes SERVE_URLCONF, whoever asks, and adds what all operations share."""

    endpoint_inspector_cls = Endpoints

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["urlconf"] = kwargs.get("urlconf") or spectacular_settings.SERVE_URLCONF
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # drf-spectacular leaves it untyped

    def get_schema(self, *args: Any, **kwargs: Any) -> Schema:
        """Returns the schema, with the errors of each surface in use and the groups of operations in their order."""
        schema: Schema = super().get_schema(*args, **kwargs)  # type: ignore[no-untyped-call]  # likewise
        surfaces = {route.surface.name: route.surface for route in ROUTES}
        responses = schema["components"].setdefault("responses", {})
        for surface in surfaces.values():
            responses |= errors(surface)
        link_issued(schema["paths"]["/api/v1/keys"]["post"]["responses"]["201"])
        used = {tag for item in schema["paths"].values() for operation in item.values() for tag in operation["tags"]}
        schema["tags"] = [{"name": title, "description": text} for title, text in GROUPS.values() if title in used]
        return schema


def link_issued(response: Schema) -> None:
    """Says where the id in an issued key's answer goes, as OpenAPI has it: links by the operations that take it."""
    takers = ("get_api_v1_keys_id", "patch_api_v1_keys_id", "delete_api_v1_keys_id", "post_api_v1_keys_id_rotate")
    parameters = {"key_id": "$response.body#/id"}
    response["links"] = {name: {"operationId": name, "parameters": parameters} for name in takers}
