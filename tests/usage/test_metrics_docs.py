"""What `/metrics` of a running server says: valid for Prometheus, and just what docs/metrics.md lists."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import httpx
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from tests.harness import BASE_DIR, GatewayServer

PAGE = (BASE_DIR / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram) \|([^|]*)\| .+ \|$", re.MULTILINE)


class Listed(NamedTuple):
    """What the page says of a metric."""

    kind: str
    labels: set[str]


def listed() -> dict[str, Listed]:
    rows = ROW.findall(PAGE)
    assert len(rows) == len({name for name, _, _ in rows})
    return {name: Listed(kind, set(re.findall(r"`([a-z_]+)`", labels))) for name, kind, labels in rows}


def scraped(server: GatewayServer) -> dict[str, Metric]:
    """The families of a server, by the names that the page has for them."""
    text = httpx.get(f"{server.url}/metrics").text
    families = list(text_string_to_metric_families(text))
    names = [f"{one.name}_total" if one.type == "counter" else one.name for one in families]
    assert len(names) == len(set(names))
    return dict(zip(names, families, strict=True))


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    (sample,) = [one for one in families[name].samples if labels.items() <= one.labels.items()]
    return float(sample.value)


def test_all_there_is_is_listed_and_all_that_is_listed_is_there(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(METRICS_ADDRESSES="127.0.0.1")
    chat = {"model": "mistral", "messages": [{"role": "user", "content": "three little words"}]}
    with httpx.Client(base_url=server.url, headers=server.headers) as client:
        client.post("/v1/chat/completions", json=chat)
        client.post("/v1/chat/completions", json={**chat, "model": "missing"})
        client.post("/v1/chat/completions", json={"model": "mistral", "messages": 1})
        client.post("/v1/chat/completions", json=chat | {"messages": [{"role": "user", "content": "[[status=500]]"}]})
        families = scraped(server)
    page = listed()
    assert families.keys() == page.keys()
    for name, family in families.items():
        assert family.type == page[name].kind, name
        assert family.documentation, name
        for sample in family.samples:
            assert sample.labels.keys() - {"le"} == page[name].labels, name
    assert value(families, "ollama_gateway_upstream_up") == 1
    assert value(families, "ollama_gateway_build_info", version=__version__) == 1
    assert value(families, "ollama_gateway_client_connections") >= 1
    assert value(families, "ollama_gateway_upstream_connections") >= 1
    assert value(families, "process_open_fds") > 5
    assert value(families, "process_resident_memory_bytes") > 20e6
    assert 0 < value(families, "process_start_time_seconds") < 4e9
    assert value(families, "ollama_gateway_refusals_total", reason="bad_request") == 1
    assert value(families, "ollama_gateway_model_requests_total", model="mistral:latest", ended="done") == 1
    assert value(families, "ollama_gateway_model_requests_total", model="other", ended="refused") == 1
    assert value(families, "ollama_gateway_model_tokens_total", model="mistral:latest", kind="prompt") == 3


def test_a_server_without_an_ollama_says_so(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway(METRICS_ADDRESSES="127.0.0.1", ollama_url="http://127.0.0.1:9")
    families = scraped(server)
    assert value(families, "ollama_gateway_upstream_up") == 0
