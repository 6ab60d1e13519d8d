"""Signs of life while a model loads, the longest that a call may take, and clients that do not read."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.stub_client import StubProcess
from tests.dialects.front import STREAMED, SURFACES, House, Keyed, error_of, last_words, opened, saying, upstream_path
from tests.harness import wait_until
from tests.proxy.wire import Answer, Client

SIGN = b": waiting\n\n"
NATIVE = [path for path in STREAMED if SURFACES[path] == "ollama"]
EVENTS = [path for path in STREAMED if path not in NATIVE]


@pytest.fixture(scope="module")
def patient(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    """A gateway that gives signs of life, quickly, and has no long calls."""
    settings = {"HEARTBEAT": 0.1, "MAX_CALL_SECONDS": 2.5, "CLIENT_TIMEOUT": 0.5, "UPSTREAM_FIRST_BYTE_TIMEOUT": 1.5}
    with opened(stub, keys, APP_ENV="production", TLS="false", MODEL_ALIASES="gpt-4o=stub", **settings) as made:
        yield made


def at_once(house: House, paths: list[str], text: str, *, stream: bool = True) -> dict[str, Answer]:
    """Asks on all paths at the same time, since waiting is all that these requests do."""
    with ThreadPoolExecutor(len(paths)) as pool:
        return dict(
            zip(paths, pool.map(lambda path: house.ask(path, saying(path, text, stream=stream)), paths), strict=True)
        )


def direct(house: House, path: str, text: str) -> bytes:
    """What the stub says to the same request."""
    return house.upstreams_own(path, saying(path, text, stream=True))


def test_an_event_stream_is_kept_warm(patient: House) -> None:
    text = "one two [[first_delay_ms=350 split=random seed=1 multibyte=1 chunks=9]]"
    for path, answer in at_once(patient, EVENTS, text).items():
        signs = answer.body.count(SIGN)
        assert signs >= 2
        rest = answer.body.removeprefix(SIGN * signs)
        own = direct(patient, path, text)
        if path in ("/api/v1/generate", "/api/v1/chat"):
            own = b"".join(b"data: " + line + b"\n\n" for line in own.splitlines())
        assert rest == own


def test_lines_are_never_padded(patient: House) -> None:
    text = "one two [[first_delay_ms=350]]"
    for path, answer in at_once(patient, NATIVE, text).items():
        assert answer.body == direct(patient, path, text)


def test_an_answer_in_one_piece_is_never_padded(patient: House) -> None:
    for answer in at_once(patient, STREAMED, "one two [[first_delay_ms=250]]", stream=False).values():
        assert answer.headers["content-type"] == "application/json"
        assert answer.body.startswith(b"{")


def test_who_need_not_wait_sees_no_sign(patient: House) -> None:
    for path in STREAMED:
        assert b"waiting" not in patient.stream(path, saying(path, "one two", stream=True))


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ("first_delay_ms=250 die_after=0", "broke off"),
        ("hang=1", "The model server was silent for 1.5 seconds"),
    ],
)
def test_what_fails_after_a_sign_is_an_event(patient: House, knobs: str, words: str) -> None:
    for path, answer in at_once(patient, EVENTS, f"one [[{knobs}]]").items():
        assert answer.status == 200  # it was sent with the first sign
        assert answer.body.startswith(SIGN)
        assert words in last_words(path, answer.body)[1]
        line = patient.line(answer)
        assert line["ended"] in ("failed", "cut")
        assert line["sent_bytes"] == len(answer.body)


def test_without_a_sign_it_is_a_status(patient: House) -> None:
    for path, answer in at_once(patient, NATIVE, "one [[hang=1]]").items():
        assert answer.status == 504
        assert "The model server was silent for 1.5 seconds" in error_of(path, answer)[1]


def test_a_refusal_that_comes_late_keeps_its_words(patient: House) -> None:
    for path in EVENTS:
        patient.stub.behave(upstream_path(path), "first_delay_ms=250 malformed=header")
    for path, answer in at_once(patient, EVENTS, "one").items():
        assert answer.status == 200
        assert "broke off" in last_words(path, answer.body)[1]


def test_who_leaves_while_waiting_stops_the_work(patient: House) -> None:
    for path in EVENTS:
        with Client(patient.server) as client:
            client.key = patient.keys["user"]
            client.ask(path, saying(path, "one [[first_delay_ms=5000]]", stream=True))
            client.head()
            assert client.chunk() == SIGN
    patient.stub.wait_for(lambda stub: len(stub.cancelled()) == len(EVENTS))


def test_no_call_takes_longer_than_one_may(patient: House) -> None:
    for path, answer in at_once(patient, STREAMED, "a [[chunks=9999 interval_ms=50]]").items():
        assert answer.status == 200
        assert "took more than 2.5 seconds, the most that one may." in last_words(path, answer.body)[1]
        line = patient.line(answer)
        assert (line["ended"], line["estimated"]) == ("cut", True)
        assert 2.4 < line["total"] < 10
        assert 5 < line["completion_tokens"] < 200
    patient.stub.wait_for(lambda stub: len(stub.cancelled()) == len(STREAMED))


def test_no_whole_answer_takes_longer_either(patient: House) -> None:
    drip = "[[chunks=1 size=20000 tcp=500 piece_ms=120]]"
    answer = patient.ask("/api/chat", saying("/api/chat", drip, stream=False))
    assert answer.status == 504
    assert "took more than 2.5 seconds, the most that one may." in error_of("/api/chat", answer)[1]
    assert answer.headers["x-should-retry"] == "false"
    assert patient.line(answer)["ended"] == "cut"


@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_a_client_that_does_not_read_is_cut_and_said_to_be(patient: House, path: str) -> None:
    request_id = f"slow-{path.replace('/', '-')}"
    with Client(patient.server, buffer=16 * 1024) as client:
        client.key = patient.keys["user"]
        client.ask(path, saying(path, "[[endless=1 size=4000]]", stream=True), X_Request_ID=request_id)
        assert client.head().status == 200
        wait_until(lambda: request_id in patient.server.log(), 10)
    line = patient.line_of(request_id)
    assert (line["ended"], line["estimated"]) == ("cut", True)
    patient.stub.wait_for(lambda stub: not stub.under_way())
