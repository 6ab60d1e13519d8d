"""Recordings that become text: the form on its way to Ollama, what is refused, and what is counted."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.stub_client import Recorded, StubProcess
from proxy.exceptions import BadBody
from proxy.forms import FormFile, parse, written
from tests.dialects.front import FORM, FORM_TYPE, FORMS, House, Keyed, error_of, name_of, opened
from tests.harness import wait_until
from tests.proxy.wire import Answer, Client

PATH = FORMS[0]
SOUND = b"RIFF\x00\x01\r\n--y\r\n\xff--\r\n" * 9
Part = tuple[str, bytes | str]


def form(*parts: Part, boundary: str = "x") -> bytes:
    """Writes a form; a part is what stands behind `form-data; ` and its value."""
    lines = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {what}\r\n\r\n".encode()
        + (value if isinstance(value, bytes) else value.encode())
        + b"\r\n"
        for what, value in parts
    )
    return lines + f"--{boundary}--\r\n".encode()


def field(name: str, value: str) -> Part:
    return f'name="{name}"', value


FILE: Part = ('name="file"; filename="a.wav"', SOUND)
MODEL = field("model", "stub")


def send(house: House, *parts: Part, **how: Any) -> Answer:
    how["headers"] = {"Content_Type": FORM_TYPE, **how.get("headers", {})}
    return house.ask(how.pop("path", PATH), form(*parts), **how)


def arrived(house: House) -> Recorded:
    """The one form that reached the stub."""
    (request,) = house.reached()
    return request


def parts_of(request: Recorded) -> dict[str, bytes]:
    """The parts of a form that reached the stub, by their names."""
    kind = request.header("Content-Type") or ""
    boundary = kind.partition("boundary=")[2]
    made = parse(request.body, boundary)
    assert len(made.files) == 1
    return {name: value.encode() for name, value in made.fields} | {"file": b"".join(made.files[0].pieces)}


@pytest.mark.parametrize("path", FORMS)
def test_a_recording_becomes_text(house: House, path: str) -> None:
    answer = send(house, MODEL, FILE, field("prompt", "hello you"), field("language", "en"), path=path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"text": "hello you"}
    request = arrived(house)
    assert name_of(request) == f"POST {PATH}"
    assert parts_of(request) == {"model": b"stub", "prompt": b"hello you", "language": b"en", "file": SOUND}
    assert "boundary=x" not in (request.header("Content-Type") or "")
    assert request.header("Content-Length") == str(len(request.body))
    line = house.line(answer)
    assert (line["route"], line["ended"], line["canonical"]) == (f"POST {path}", "done", "stub:latest")
    assert line["received_bytes"] > len(SOUND)


def test_text_is_passed_on_as_text(house: House) -> None:
    answer = send(house, FILE, MODEL, field("response_format", "text"), field("prompt", "hello you"))
    assert answer.body == b"hello you"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_all_fields_of_openai_are_taken(house: House) -> None:
    more = [
        field("temperature", "0.5"),
        field("stream", "false"),
        field("timestamp_granularities[]", "word"),
        field("timestamp_granularities[]", "segment"),
        field("response_format", "verbose_json"),
    ]
    assert send(house, MODEL, *more, FILE).json() == {"text": "stub"}
    sent = arrived(house).body
    assert sent.count(b'name="timestamp_granularities[]"') == 2
    assert b'name="stream"' not in sent


def test_a_large_recording_arrives_untouched(house: House) -> None:
    sound = bytes(range(256)) * 8192
    assert send(house, MODEL, ('name="file"; filename="a.wav"', sound)).status == 200
    assert parts_of(arrived(house))["file"] == sound


def test_a_compressed_form_is_decoded(house: House) -> None:
    headers = {"Content_Type": FORM_TYPE, "Content-Encoding": "gzip"}
    answer = house.ask(PATH, gzip.compress(form(MODEL, FILE)), headers=headers)
    assert answer.status == 200
    assert parts_of(arrived(house))["file"] == SOUND
    assert house.ask(PATH, form(MODEL, FILE), headers={**headers, "Content-Encoding": "compress"}).status == 415


@pytest.mark.parametrize(
    "name",
    ["..", "/", "\\", "a\x00b\x01.wav", "a;b=c.wav", "a%0d%0aX: y", "ü" * 300, "../../etc/passwd", "a\nb"],
)
def test_odd_file_names_do_no_harm(house: House, name: str) -> None:
    answer = send(house, MODEL, (f'name="file"; filename="{name}"', SOUND))
    assert answer.status == 200
    sent = arrived(house)
    assert parts_of(sent)["file"] == SOUND
    assert re.search(rb'filename="[A-Za-z0-9._-]{1,100}"\r\n', sent.body)


BROKEN: dict[str, tuple[list[Part] | bytes, str]] = {
    "no file": ([MODEL], "'file' is missing"),
    "no model": ([FILE], "'model' is missing"),
    "empty model": ([field("model", ""), FILE], "'model' is missing"),
    "two models": ([MODEL, FILE, field("model", "secret")], "'model' stands twice"),
    "the same model twice": ([MODEL, MODEL, FILE], "'model' stands twice"),
    "two files": ([MODEL, FILE, FILE], "'file' stands twice"),
    "an empty file": ([MODEL, ('name="file"; filename="a.wav"', b"")], "'file' is empty"),
    "a file without a name": ([MODEL, ('name="file"', "abc")], "'file' must be a file"),
    "a model as a file": ([('name="model"; filename="m"', "stub"), FILE], "'model' must not be a file"),
    "an unknown field": ([MODEL, FILE, field("keep_alive", "1h")], "'keep_alive' is an unknown field"),
    "another case": ([MODEL, FILE, field("Model", "secret")], "'Model' is an unknown field"),
    "a stream": ([MODEL, FILE, field("stream", "true")], "does not stream"),
    "half a truth": ([MODEL, FILE, field("stream", "perhaps")], "'stream' must be true or false"),
    "a word for a number": ([MODEL, FILE, field("temperature", "hot")], "'temperature' must be a number"),
    "no finite number": ([MODEL, FILE, field("temperature", "nan")], "'temperature' must be a number"),
    "an unknown format": ([MODEL, FILE, field("response_format", "xml")], "'response_format' must be one of"),
    "no name of a model": ([field("model", "a b"), FILE], "is no model name"),
    "nothing": (b"", "its last line"),
    "JSON": (b'{"model": "stub"}', "its last line"),
    "no end": (FORM.removesuffix(b"--x--\r\n"), "its last line"),
    "cut off": (FORM[:-40], "its last line"),
    "more behind the end": (FORM + FORM, "its boundary stands"),
    "words behind the end": (FORM + b"abc", "its last line"),
    "an end within": (FORM.replace(b"--x--", b"--x--\r\n--x--"), "its boundary stands"),
    "the boundary in a file": (form(MODEL, ('name="file"; filename="a"', b"ab--xcd")), "its boundary stands"),
    "a part without a name": (form(MODEL, FILE, ("size=1", "y")), "needs a Content-Disposition"),
    "a part without headers": (FORM.replace(b"--x--", b"--x\r\n\r\nabc\r\n--x--"), "needs a Content-Disposition"),
    "a file name in Latin-1": (form(MODEL, FILE).replace(b"a.wav", b"\xe4.wav"), "in UTF-8"),
    "too many parts": (form(MODEL, FILE, *([field("include[]", "x")] * 99)), "more than 100 times"),
    "a long header": (form(MODEL, FILE, (f'name="{"n" * 2000}"', "y")), "can't be read"),
    "an unknown charset": (form(MODEL, ("name*=klingon''file; filename=\"a\"", b"x")), ""),
    "broken base64": (FORM.replace(b'a.wav"', b'a.wav"\r\nContent-Transfer-Encoding: base64'), "can't be read"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_form_is_refused_with_the_reason(house: House, case: str) -> None:
    body, words = BROKEN[case]
    raw = body if isinstance(body, bytes) else form(*body)
    answer = house.ask(PATH, raw, headers={"Content_Type": FORM_TYPE})
    assert answer.status == 400, answer
    assert words in error_of(PATH, answer)[1]
    assert house.reached() == []


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=\xe4",
        "multipart/form-data; boundary*=klingon''x",
        "text/plain; boundary=x",
    ],
)
def test_another_type_than_a_forms_is_refused(house: House, kind: str) -> None:
    answer = house.ask(PATH, FORM, headers={"Content_Type": kind} if kind else {})
    assert answer.status == 400
    assert "Content-Type" in error_of(PATH, answer)[1]
    assert house.reached() == []


@pytest.mark.parametrize(
    ("model", "who", "status"),
    [
        ("secret", "stubs", 404),
        ("SECRET:latest", "stubs", 404),
        ("stub-alias", "stubs", 404),
        ("me/stub", "stubs", 404),
        ("missing", "user", 404),
        ("stub:cloud", "user", 403),
        ("stub-remote", "user", 403),
        ("cheap", "user", 403),
        ("stub", "nobody", 401),
    ],
)
def test_a_model_that_the_key_may_not_use_is_not_reached(house: House, model: str, who: str, status: int) -> None:
    answer = send(house, field("model", model), FILE, who=who)
    assert answer.status == status
    error_of(PATH, answer)
    assert [name_of(request) for request in house.reached()] == ([f"POST {PATH}"] if model == "missing" else [])


def test_an_alias_leads_to_its_model(house: House) -> None:
    answer = send(house, field("model", "gpt-4o"), FILE)
    assert answer.status == 200
    assert parts_of(arrived(house))["model"] == b"stub"
    line = house.line(answer)
    assert (line["model"], line["canonical"]) == ("gpt-4o", "stub:latest")


def test_without_counts_a_recording_is_charged_by_its_bytes(house: House) -> None:
    sound = ('name="file"; filename="a.wav"', bytes(50_001))
    line = house.line(send(house, MODEL, sound, field("prompt", "four")))
    assert (line["prompt_tokens"], line["estimated"]) == (52, True)
    assert line["completion_tokens"] >= 1


@pytest.mark.parametrize(
    ("counts", "prompt", "written", "estimated"), [("tokens", 70, 3, None), ("seconds", 100, None, True)]
)
def test_counts_of_ollama_come_first(
    house: House, counts: str, prompt: int, written: int | None, estimated: bool | None
) -> None:
    answer = send(house, MODEL, FILE, field("prompt", f"hello [[counts={counts}]]"))
    line = house.line(answer)
    assert (line["prompt_tokens"], line["estimated"]) == (prompt, estimated)
    assert written is None or line["completion_tokens"] == written
    assert answer.json()["usage"]["type"] == {"tokens": "tokens", "seconds": "duration"}[counts]


def test_a_failure_of_the_model_is_no_empty_text(house: House) -> None:
    """Ollama answers 200 before it begins, and then nothing."""
    answer = send(house, MODEL, FILE, field("prompt", "[[error_after=1]]"))
    assert answer.status == 502
    line = house.line(answer)
    assert (line["ended"], line["prompt_tokens"]) == ("failed", None)


def test_a_refusal_of_ollama_is_told_in_openais_shape(house: House) -> None:
    answer = send(house, MODEL, FILE, field("prompt", "[[status=500]]"))
    assert answer.status == 500
    error_of(PATH, answer)


def test_ollama_is_left_when_the_client_leaves(house: House) -> None:
    with Client(house.server) as client:
        client.key = house.keys["user"]
        body = form(MODEL, FILE, field("prompt", "[[hang=1]]"))
        client.ask(PATH, body, Content_Type=FORM_TYPE)
        wait_until(lambda: bool(house.reached()), 10, house.server.log)
    wait_until(lambda: bool(house.stub.cancelled()), 10, house.server.log)


@pytest.fixture(scope="module")
def small(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    with opened(stub, keys, MAX_BODY_BYTES=4096, APP_ENV="production", TLS="false") as made:
        yield made


def test_a_form_is_bounded_as_all_bodies_are(small: House) -> None:
    answer = send(small, MODEL, ('name="file"; filename="a.wav"', bytes(5000)))
    assert answer.status == 413
    packed = gzip.compress(form(MODEL, ('name="file"; filename="a.wav"', bytes(5000))))
    answer = small.ask(PATH, packed, headers={"Content_Type": FORM_TYPE, "Content-Encoding": "gzip"})
    assert answer.status == 413
    assert small.reached() == []


def test_openais_client(house: House) -> None:
    client = openai.OpenAI(base_url=f"{house.server.url}/v1", api_key=house.keys["user"], max_retries=0)
    with client:
        made = client.audio.transcriptions.create(model="stub", file=("ä.wav", SOUND), prompt="hello you")
        assert made.text == "hello you"
        text = client.audio.transcriptions.create(model="stub", file=SOUND, prompt="hi", response_format="text")
        assert str(text) == "hi"
        granular = client.audio.transcriptions.create(
            model="stub", file=SOUND, response_format="verbose_json", timestamp_granularities=["word"], temperature=0
        )
        assert granular.text == "stub"
        with pytest.raises(openai.BadRequestError, match="does not stream"):
            client.audio.transcriptions.create(model="stub", file=SOUND, stream=True)
        with pytest.raises(openai.NotFoundError):
            client.audio.transcriptions.create(model="missing", file=SOUND)


@given(st.dictionaries(st.sampled_from(["model", "prompt", "language"]), st.text(max_size=30)), st.binary(min_size=1))
def test_what_is_written_is_read_again(fields: dict[str, str], sound: bytes) -> None:
    fields = {name: json.loads(json.dumps(value).replace("\\ud", "")) for name, value in fields.items()}
    request = httpx.Request("POST", "http://form.example", data=fields, files={"file": ("a", sound)})
    boundary = request.headers["Content-Type"].partition("boundary=")[2]
    read = parse(request.read(), boundary)
    assert dict(read.fields) == fields
    assert b"".join(read.files[0].pieces) == sound
    raw = b"".join(written(read.fields, read.files[0]))
    again = parse(raw, raw[2:].partition(b"\r\n")[0].decode())
    assert again.fields == read.fields
    assert b"".join(again.files[0].pieces) == sound


@given(
    st.lists(st.sampled_from([b"--x", b"--x--", b"\r\n", b"--x\r\n", b"Content-Disposition: form-data; name=a", b"a"]))
)
def test_any_bytes_are_read_or_refused(tokens: list[bytes]) -> None:
    try:
        made = parse(b"".join(tokens), "x")
    except BadBody:
        return
    assert all(isinstance(file, FormFile) for file in made.files)


@pytest.fixture(scope="module")
def limited(stub: StubProcess, keys: Keyed) -> Iterator[House]:
    with opened(stub, keys, DEFAULT_REQUESTS_PER_MINUTE=2, DEFAULT_TOKENS_PER_DAY=60) as made:
        yield made


def test_a_recording_counts_against_the_limits(limited: House) -> None:
    large: Part = ('name="file"; filename="a.wav"', bytes(100_000))
    answer = send(limited, MODEL, large)
    assert answer.status == 429  # 100 tokens of 60
    assert limited.reached() == []
    answer = send(limited, MODEL, ('name="file"; filename="a.wav"', bytes(20_000)))
    assert answer.status == 200
    assert answer.headers["x-ratelimit-limit-tokens"] == "60"
    assert 20 <= 60 - int(answer.headers["x-ratelimit-remaining-tokens"]) <= 30
    journal = [
        json.loads(line)
        for path in (limited.server.folder / "journal").glob("*.jsonl")
        for line in path.read_bytes().splitlines()
    ]
    (ended,) = (line for line in journal if line["event"] == "ended")
    assert (ended["route"], ended["prompt_tokens"], ended["estimated"]) == (f"POST {PATH}", 20, True)
