"""One endpoint of each dialect, asked whole or as a stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx

from tests.harness import GatewayServer


class Endpoint(NamedTuple):
    """Where to ask, and the field that carries the words."""

    path: str
    field: str
    extra: dict[str, Any]

    def body(self, text: str, *, model: str = "mistral", stream: bool = False) -> dict[str, Any]:
        said: object = text if self.field != "messages" else [{"role": "user", "content": text}]
        return {"model": model, self.field: said, "stream": stream, **self.extra}


ENDPOINTS = {
    "gateway": Endpoint("/api/v1/generate", "prompt", {}),
    "ollama": Endpoint("/api/chat", "messages", {}),
    "openai": Endpoint("/v1/chat/completions", "messages", {}),
    "anthropic": Endpoint("/v1/messages", "messages", {"max_tokens": 99}),
}


def ask(server: GatewayServer, secret: str, dialect: str = "gateway", text: str = "Hi", **how: Any) -> httpx.Response:
    """Asks one endpoint of a dialect for a whole answer."""
    endpoint = ENDPOINTS[dialect]
    headers = {"X-API-Key": secret, **how.pop("headers", {})}
    return httpx.post(f"{server.url}{endpoint.path}", json=endpoint.body(text, **how), headers=headers, timeout=10)


def error_text(response: httpx.Response, dialect: str) -> str:
    """The sentence for people in a dialect's error."""
    answer = response.json()
    match dialect:
        case "gateway":
            return str(answer["message"])
        case "ollama":
            return str(answer["error"])
        case _:
            return str(answer["error"]["message"])
