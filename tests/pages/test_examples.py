"""The examples of the API's schema: each operation has what it needs, and answers 2xx when it is run as it stands."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.harness import GatewayServer

SCOPES = "inference,manage,keys,metrics"
SECONDS = 30
# As Ollama, the stub embeds with embedding models alone. The examples name the default model; where that is the
# demo engine's, it does both.
CHAT_MODEL, EMBEDDING_MODEL = "stub-think", "stub-embed"
# Of what is there only after another operation was run: that operation, and what of its answer stands in the path.
AFTER = {
    "/api/v1/keys/{key_id}": ("post_api_v1_keys", "id"),
    "/api/v1/keys/{key_id}/rotate": ("post_api_v1_keys", "id"),
}
FIRST = ("post_api_blobs_digest", "post_api_copy", "post_api_create")
LAST = ("delete_api_delete", "delete_api_v1_keys_id")

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def server(stub: StubProcess) -> Iterator[GatewayServer]:
    with GatewayServer(ollama_url=stub.url, OLLAMA_MODEL=CHAT_MODEL) as made:
        yield made


@pytest.fixture(scope="module")
def key(server: GatewayServer) -> str:
    return server.manage("createapikey", "docs", "--scopes", SCOPES, "--quiet").stdout.strip()


@pytest.fixture(scope="module")
def schema(server: GatewayServer) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{server.url}/api/schema").json()
    return found


def operations(schema: dict[str, Any]) -> list[Operation]:
    """The operations, in an order in which each finds what it is about."""
    found = [(path, method, operation) for path, item in schema["paths"].items() for method, operation in item.items()]

    def place(one: Operation) -> int:
        name = one[2]["operationId"]
        return 0 if name in FIRST else 2 if name in LAST else 1

    return sorted(found, key=place)


def body_of(operation: dict[str, Any]) -> tuple[str, bytes] | None:
    """The example of an operation's body, and its media type."""
    content = operation.get("requestBody", {}).get("content", {})
    for media_type, described in content.items():
        examples = [described["example"]] if "example" in described else []
        examples += [one["value"] for one in described.get("examples", {}).values()]
        assert examples, f"{operation['operationId']} has no example of its body"
        value = examples[0]
        if media_type == "multipart/form-data":
            return form_of(described["schema"], value)
        return media_type, value.encode() if isinstance(value, str) else json.dumps(value).encode()
    return None


def form_of(schema: dict[str, Any], fields: dict[str, Any]) -> tuple[str, bytes]:
    """A form with these fields, and a WAV file without sound for each file of the schema, and its media type."""
    recording = BytesIO()
    with wave.open(recording, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
        sound.writeframes(bytes(320))
    files = {
        name: ("silence.wav", recording.getvalue())
        for name, field in schema["properties"].items()
        if field.get("format") == "binary"
    }
    request = httpx.Request("POST", "http://form.example", data=fields, files=files)
    return request.headers["Content-Type"], request.read()


def example_of(parameter: dict[str, Any]) -> str:
    """The example of a parameter."""
    found = parameter.get("example", parameter.get("schema", {}).get("example"))
    if found is None:
        found = next(iter(parameter.get("examples", {}).values()), {}).get("value")
    assert found is not None, f"{parameter['name']} has no example"
    return str(found)


def test_each_operation_answers_2xx_when_it_is_run_as_it_stands(
    server: GatewayServer, key: str, schema: dict[str, Any]
) -> None:
    answers: dict[str, dict[str, Any]] = {}
    failed = []
    with httpx.Client(base_url=server.url, headers={"X-API-Key": key}, timeout=SECONDS) as client:
        for path, method, operation in operations(schema):
            target = path
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "path":
                    value = example_of(parameter)
                    if path in AFTER:
                        before, field = AFTER[path]
                        value = answers[before][field]
                    target = target.replace("{" + parameter["name"] + "}", quote(value, safe=":"))
            body = body_of(operation)
            headers, content = ({"Content-Type": body[0]}, body[1]) if body else ({}, None)
            if content is not None and "embed" in path:
                content = content.replace(CHAT_MODEL.encode(), EMBEDDING_MODEL.encode())
            answer = client.request(method, target, headers=headers, content=content)
            if answer.is_success:
                if "json" in answer.headers.get("content-type", "") and method != "head":
                    answers[operation["operationId"]] = answer.json()
            else:
                failed.append((operation["operationId"], target, answer.status_code, answer.text[:300]))
    assert not failed, "\n".join(map(str, failed))


def test_each_parameter_in_a_query_has_an_example_that_is_answered(
    server: GatewayServer, key: str, schema: dict[str, Any]
) -> None:
    failed = []
    for path, method, operation in operations(schema):
        for parameter in operation.get("parameters", []):
            if parameter["in"] != "query" or parameter["name"] == "after":
                continue
            query = {parameter["name"]: example_of(parameter)}
            answer = httpx.request(method, f"{server.url}{path}", headers={"X-API-Key": key}, params=query)
            if not answer.is_success:
                failed.append((path, query, answer.status_code, answer.text[:200]))
    assert not failed, "\n".join(map(str, failed))


def test_each_status_that_comes_is_documented(
    server: GatewayServer, key: str, schema: dict[str, Any], make_gateway: Callable[..., GatewayServer]
) -> None:
    """Sends each operation what it refuses; a status that the schema does not name is a fault."""
    small = make_gateway(MAX_BODY_BYTES=2000, INVALID_KEYS_PER_MINUTE=1)
    for _ in range(3):
        httpx.get(f"{small.url}/api/v1/key", headers={"X-API-Key": "wrong"})
    undocumented = []
    for path, method, operation in operations(schema):
        target = path.replace("{key_id}", "none").replace("{whose}", "owner:none").replace("{id}", "missing")
        target = target.replace("{digest}", "sha256:" + "0" * 64)
        tries: list[tuple[str, dict[str, str], bytes | None]] = [
            (server.url, {}, b""),
            (server.url, {"X-API-Key": "wrong"}, b""),
            (server.url, {"X-API-Key": server.key}, b""),
            (server.url, {"X-API-Key": key}, b""),
            (server.url, {"X-API-Key": key}, b"{"),
            (server.url, {"X-API-Key": key}, b'{"model": "missing"}'),
            (server.url, {"X-API-Key": key, "Content-Encoding": "compress"}, b"{}"),
            (small.url, {"X-API-Key": small.key}, b"{" + b" " * 3000),
            (small.url, {"X-API-Key": "wrong"}, b""),
        ]
        for base, headers, content in tries:
            sent = content if method in ("post", "patch", "delete") else None
            answer = httpx.request(method, f"{base}{target}", headers=headers, content=sent, timeout=SECONDS)
            if str(answer.status_code) not in operation["responses"] and not answer.is_success:
                undocumented.append((operation["operationId"], answer.status_code, answer.text[:100]))
    assert not undocumented, "\n".join(map(str, sorted(set(undocumented))))


def test_metrics_are_described(schema: dict[str, Any]) -> None:
    described = schema["paths"]["/metrics"]["get"]
    assert "text/plain" in described["responses"]["200"]["content"]
    assert described["security"]
