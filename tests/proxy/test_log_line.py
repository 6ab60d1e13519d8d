"""One line a finished request: who, what, how it went, what it cost; never what was said, nor a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_client import StubProcess
from proxy.call import Call
from proxy.lines import micro
from proxy.report import Reporter
from tests.harness import GatewayServer, wait_until
from tests.proxy.wire import Client, ask, asked

GENERATE = "/api/v1/generate"
PROMPT = "peculiarprompt"


@pytest.fixture(scope="module")
def production(stub: StubProcess) -> Iterator[GatewayServer]:
    """A gateway that writes JSON, with addresses."""
    settings = {"APP_ENV": "production", "ALLOWED_HOSTS": "127.0.0.1", "TLS": "off", "LOG_ADDRESSES": "on"}
    with GatewayServer(ollama_url=stub.url, UPSTREAM_IDLE_TIMEOUT=0.3, **settings) as server:
        yield server


def line_of(server: GatewayServer, request_id: str) -> dict[str, Any]:
    """Waits for the line of a request, which must be the only one."""

    def lines() -> list[str]:
        return [line for line in server.log().splitlines() if f'"{request_id}"' in line]

    wait_until(lambda: bool(lines()), 5, server.log)
    (line,) = lines()
    facts: dict[str, Any] = json.loads(line)
    return facts


def finished(server: GatewayServer, request_id: str, **body: Any) -> dict[str, Any]:
    ask(server, GENERATE, {"prompt": f"{PROMPT} two", **body}, X_Request_ID=request_id)
    return line_of(server, request_id)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_line_says_who_what_how_and_how_much(production: GatewayServer, *, stream: bool) -> None:
    line = finished(production, f"complete-{stream}", stream=stream)
    assert datetime.fromisoformat(line["time"]).tzinfo is not None
    assert line["key"] == production.key.split("_")[1]
    assert line["label"] == "tests"
    assert line["route"] == "POST /api/v1/generate"
    assert line["model"] == "mistral"
    assert line["status"] == 200
    assert line["ended"] == "done"
    assert (line["prompt_tokens"], line["completion_tokens"]) == (2, 2)
    assert 0 < line["first_byte"] <= line["total"] < 10
    assert line["client"] == "127.0.0.1"


@pytest.mark.anyio
async def test_a_call_that_can_not_be_reported_hides_no_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report = Reporter(as_json=True, addresses=False)
    for request_id in ("before", "broken", "behind"):
        call = Call(request_id, "POST", "/api/chat", "")
        if request_id == "broken":
            call.outcome = None  # type: ignore[assignment]  # what nobody foresaw
        report(call)
    report.flush()
    assert [word for word in ("before", "broken", "behind") if f'"{word}"' in caplog.text] == ["before", "behind"]
    assert "Unforeseen AttributeError" in caplog.text


def test_a_completion_is_counted_too(production: GatewayServer) -> None:
    body = {"prompt": "three little words", "stream": True, "stream_options": {"include_usage": True}}
    ask(production, "/api/v1/completions", body, X_Request_ID="completion")
    line = line_of(production, "completion")
    assert (line["prompt_tokens"], line["completion_tokens"]) == (3, 3)


@pytest.mark.parametrize(
    ("body", "key", "status", "ended"),
    [
        ({"prompt": 1}, True, 400, "refused"),
        ({"prompt": "a"}, False, 401, "refused"),
        ({"prompt": "a", "model": "missing"}, True, 404, "refused"),
        ({"prompt": "a [[status=500]]"}, True, 500, "failed"),
        ({"prompt": "a [[malformed=status]]"}, True, 502, "failed"),
        ({"prompt": "[[chunks=9 error_after=2]]", "stream": True}, True, 200, "failed"),
        ({"prompt": "[[chunks=9 eof_after=2]]", "stream": True}, True, 200, "failed"),
        ({"prompt": "[[chunks=9 hang_after=2]]", "stream": True}, True, 200, "cut"),
        ({"prompt": "a b c [[hang_after=0]]"}, True, 504, "cut"),
    ],
)
def test_a_line_says_how_it_ended(
    production: GatewayServer, body: dict[str, Any], status: int, ended: str, *, key: bool
) -> None:
    name = f"ended-{abs(hash(json.dumps(body))) % 10**9}-{key}"
    ask(production, GENERATE, body, key=key, X_Request_ID=name)
    line = line_of(production, name)
    assert (line["status"], line["ended"]) == (status, ended)


def test_a_preflight_is_no_refusal(production: GatewayServer) -> None:
    how = {"Origin": "http://a.example", "Access_Control_Request_Method": "POST", "X_Request_ID": "preflight"}
    assert ask(production, GENERATE, method="OPTIONS", key=False, **how).status == 200
    line = line_of(production, "preflight")
    assert (line["status"], line["ended"]) == (200, "done")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"prompt": "[[hang=1]]"}, 499),
        ({"prompt": "[[hang=1]]", "stream": True}, 499),
        ({"prompt": "[[chunks=100000 interval_ms=5]]", "stream": True}, 200),
    ],
    ids=["whole", "before the first byte", "in mid-stream"],
)
def test_a_client_that_left_is_told_from_one_that_was_served(
    stub: StubProcess, production: GatewayServer, body: dict[str, Any], status: int
) -> None:
    name = f"left-{status}-{body.get('stream')}"
    with Client(production) as client:
        client.ask(GENERATE, body, X_Request_ID=name)
        stub.wait_for(asked)
        if status == 200:
            assert client.head().status == 200
            client.events(1)
    line = line_of(production, name)
    assert (line["status"], line["ended"]) == (status, "left")


def test_a_client_that_left_while_sending_is_one_that_left(production: GatewayServer) -> None:
    with Client(production) as client:
        client.ask(GENERATE, b'{"prompt": ', Content_Length="1000", X_Request_ID="left-sending")
    line = line_of(production, "left-sending")
    assert (line["status"], line["ended"]) == (499, "left")


def test_a_path_that_does_not_exist_is_not_repeated(production: GatewayServer) -> None:
    ask(production, f"/api/v1/{PROMPT}?{PROMPT}", {}, X_Request_ID="nowhere")
    line = line_of(production, "nowhere")
    assert line["route"] == "POST -"
    assert line["status"] == 404


def test_a_long_name_is_cut(production: GatewayServer) -> None:
    line = finished(production, "long", model="m" * 100_000)
    assert len(json.dumps(line)) < 2000


FORGED = 'm {"status":200} 12:00:00.000 200 POST / key=x\u2028\x85\x1b[31m\r\n12:00:00.000 200 POST /'


@pytest.mark.parametrize("model", [FORGED, "m\u2028n", "m=n ended=done", "é", '"'])
def test_a_model_can_not_forge_a_line(production: GatewayServer, gateway: GatewayServer, model: str) -> None:
    before = len(gateway.log().splitlines())
    ask(gateway, GENERATE, {"prompt": "a", "model": model})
    wait_until(lambda: len(gateway.log().splitlines()) > before, 5)
    (line,) = gateway.log().splitlines()[before:]
    assert line.isascii()
    assert line.isprintable()
    assert line.count(" ended=") == 1
    name = f"forged-{len(model)}-{model.isascii()}"
    assert finished(production, name, model=model)["status"] in (400, 404)


def test_a_label_can_not_forge_a_line(stub: StubProcess, gateway: GatewayServer) -> None:
    label = "é status=500 ended=failed\u2028"
    key = gateway.manage("createapikey", label, "--quiet").stdout.strip()
    answer = ask(gateway, GENERATE, {"prompt": "a"}, key=False, X_API_Key=key, X_Request_ID="labelled")
    assert answer.status == 200
    wait_until(lambda: "request_id=labelled" in gateway.log(), 5)
    (line,) = [line for line in gateway.log().splitlines() if "request_id=labelled" in line]
    assert line.isascii()
    assert line.isprintable()
    assert "label='" in line


def test_a_readable_line_is_one_a_person_can_read(gateway: GatewayServer) -> None:
    ask(gateway, GENERATE, {"prompt": "a b"}, X_Request_ID="readable")
    wait_until(lambda: "request_id=readable" in gateway.log(), 5)
    (line,) = [line for line in gateway.log().splitlines() if "request_id=readable" in line]
    assert " 200 POST /api/v1/generate " in line
    for word in ("label=tests", "model=mistral", "ended=done", "prompt_tokens=2", "completion_tokens=2"):
        assert f" {word} " in line
    assert "client=" not in line
    assert "127.0.0.1" not in line


def test_nothing_that_was_said_and_no_secret_is_in_the_log(
    stub: StubProcess, production: GatewayServer, gateway: GatewayServer
) -> None:
    for server in (production, gateway):
        for stream in (False, True):
            for knobs in ("", "[[error_after=1]]", "[[status=500]]", "[[die_after=1]]", "[[malformed=json]]"):
                ask(server, GENERATE, {"prompt": f"{PROMPT} {knobs}", "stream": stream, "system": PROMPT})
        ask(server, GENERATE, f'{{"prompt": "{PROMPT}'.encode())
        ask(server, GENERATE, f'{{"{PROMPT}": 1, "{PROMPT}": 2}}'.encode())
        ask(server, GENERATE, {"prompt": PROMPT}, key=False, Authorization="Bearer ollama_thiskeyisone_" + "A" * 49)
        log = server.log()
        assert PROMPT not in log
        assert server.key not in log
        assert server.key.split("_")[2] not in log
        assert "A" * 43 not in log
        assert server.settings["KEY_PEPPER"] not in log
        assert server.settings["SECRET_KEY"] not in log


@given(st.floats(0, 1e6))
def test_durations_have_microseconds(seconds: float) -> None:
    assert micro(seconds) == pytest.approx(round(seconds, 6), abs=1.000001e-6)
    assert micro(micro(seconds)) == micro(seconds)
    assert len(str(micro(seconds)).partition(".")[2]) <= 6 or seconds < 1e-4
