"""The counters: what they add up to, and how Prometheus reads them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from usage.metrics import BOUNDS, MOST_LABELS, MOST_MODELS, Metrics, escaped

LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+)\})? (\S+)')


def facts(**said: Any) -> dict[str, Any]:
    return {
        "route": "POST /api/chat",
        "status": 200,
        "ended": "done",
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "first_byte": 0.2,
        "total": 2.0,
        **said,
    }


def read(metrics: Metrics) -> dict[str, float]:
    """The values by name and labels, after a look at the form of each line and at the order of them."""
    found: dict[str, float] = {}
    family = ""
    for line in metrics.lines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            continue
        if line.startswith("# TYPE "):
            assert line.split()[2] == family
            assert line.split()[3] in ("counter", "gauge", "histogram")
            continue
        match = LINE.fullmatch(line)
        assert match, line
        assert match[1].startswith(family)
        name = line.rpartition(" ")[0]
        assert name not in found
        found[name] = float(match[3])
    return found


def test_a_call_is_counted_by_route_status_and_end() -> None:
    metrics = Metrics()
    metrics.count(facts())
    metrics.count(facts())
    metrics.count(facts(status=502, ended="failed", first_byte=None, prompt_tokens=None, completion_tokens=None))
    found = read(metrics)
    of_chat = 'route="POST /api/chat"'
    assert found[f'ollama_gateway_requests_total{{{of_chat},status="200",ended="done"}}'] == 2
    assert found[f'ollama_gateway_requests_total{{{of_chat},status="502",ended="failed"}}'] == 1
    assert found[f'ollama_gateway_tokens_total{{{of_chat},kind="prompt"}}'] == 20
    assert found[f'ollama_gateway_tokens_total{{{of_chat},kind="completion"}}'] == 40
    assert found[f"ollama_gateway_first_byte_seconds_count{{{of_chat}}}"] == 2
    assert found[f"ollama_gateway_request_seconds_sum{{{of_chat}}}"] == 6.0


def test_cached_tokens_are_counted_apart_from_those_that_were_read() -> None:
    metrics = Metrics()
    for cached in (None, 7):
        metrics.count({**facts(), "cached_tokens": cached})
    found = read(metrics)
    assert found['ollama_gateway_cached_tokens_total{route="POST /api/chat"}'] == 7
    assert found['ollama_gateway_tokens_total{route="POST /api/chat",kind="prompt"}'] == 20


def test_refusals_and_failures_are_counted_by_their_reason() -> None:
    metrics = Metrics()
    metrics.refuse("rate_limited")
    metrics.refuse("rate_limited")
    metrics.fail("upstream_timeout")
    found = read(metrics)
    assert found['ollama_gateway_refusals_total{reason="rate_limited"}'] == 2
    assert found['ollama_gateway_upstream_errors_total{reason="upstream_timeout"}'] == 1


def test_a_gauge_is_asked_when_somebody_looks() -> None:
    metrics, running = Metrics(), [1]
    metrics.gauge("in_flight", "Calls that are being served", lambda: running[0])
    assert read(metrics)["ollama_gateway_in_flight"] == 1
    running[0] = 5
    assert read(metrics)["ollama_gateway_in_flight"] == 5


@given(st.lists(st.floats(0, 1000), min_size=1, max_size=50))
def test_a_histogram_grows_up_to_all_calls(totals: list[float]) -> None:
    metrics = Metrics()
    for total in totals:
        metrics.count(facts(total=total))
    found = read(metrics)
    name = 'ollama_gateway_request_seconds_bucket{route="POST /api/chat",le="%s"}'
    for bound in BOUNDS:
        assert found[name % bound] == sum(total <= bound for total in totals)
    assert found[name % "+Inf"] == len(totals)


@pytest.mark.parametrize("route", ["FOO /api/chat", "GET -", "POST", "", 'POST "}'])
def test_what_a_client_makes_up_is_no_label(route: str) -> None:
    metrics = Metrics()
    metrics.count(facts(route=route))
    assert list(metrics.requests) == [("other", "200", "done")]


def test_labels_are_bounded_whatever_comes() -> None:
    metrics = Metrics()
    for number in range(3 * MOST_LABELS):
        metrics.count(facts(route=f"GET /{number}"))
        metrics.refuse(str(number))
        metrics.fail(str(number))
    assert len(metrics.requests) == len(metrics.refusals) == len(metrics.upstream_errors) == MOST_LABELS + 1
    assert sum(metrics.requests.values()) == 3 * MOST_LABELS
    assert len(metrics.total) <= MOST_LABELS + 1


@given(st.text())
def test_a_labels_value_can_hold_anything(value: str) -> None:
    assert re.fullmatch(r'(?:[^"\\\n]|\\["\\n])*', escaped(value))


def test_models_have_series_of_their_own_up_to_a_number() -> None:
    metrics = Metrics()
    for number in range(MOST_MODELS + 20):
        metrics.count(facts(canonical=f"model{number}:latest"))
        metrics.count(facts(canonical=f"made-up{number}", status=404, ended="refused"))
    found = read(metrics)
    names = {model for model, _ in metrics.model_requests}
    assert len(names) == MOST_MODELS + 1
    assert not any(name.startswith("made-up") for name in names)
    assert found['ollama_gateway_model_requests_total{model="other",ended="done"}'] == 20
    assert found['ollama_gateway_model_requests_total{model="other",ended="refused"}'] == MOST_MODELS + 20
    assert found['ollama_gateway_model_tokens_total{model="model0:latest",kind="completion"}'] == 20


@given(st.text(max_size=50), st.text(max_size=50))
def test_prometheus_reads_whatever_a_label_holds(model: str, reason: str) -> None:
    metrics = Metrics()
    metrics.count(facts(canonical=model))
    metrics.refuse(reason)
    text = "".join(f"{line}\n" for line in metrics.lines())
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (refusal,) = families["ollama_gateway_refusals"].samples
    assert refusal.labels["reason"] == reason
