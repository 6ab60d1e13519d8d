"""Event streams with names: OpenAI's responses and Anthropic's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from proxy.call import Usage
from proxy.dialects.base import Reader, WireFormat, cached, count, latest, object_of, parsed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.rest import Refusal
    from proxy.call import Facts
    from proxy.dialects.base import Surface


NO_CONTENT = b'"content":null'


def response_usage(usage: object) -> Usage:
    """Reads the `usage` object of a response: `input_tokens` are all of the prompt's."""
    said = object_of(usage)
    prompt = count(said.get("input_tokens"))
    kept = object_of(said.get("input_tokens_details")).get("cached_tokens")
    return Usage(prompt, count(said.get("output_tokens")), cached_tokens=cached(kept, prompt))


def message_usage(usage: object) -> Usage:
    """Reads the `usage` object of a message.

    `input_tokens` are those that were neither read from a cache nor written to it (Ollama from 0.34 on; before, there
    was no word of a cache).
    """
    said = object_of(usage)
    kept = count(said.get("cache_read_input_tokens"))
    parts = [count(said.get("input_tokens")), kept, count(said.get("cache_creation_input_tokens"))]
    prompt = None if said.get("input_tokens") is not None and parts[0] is None else total(parts)
    return Usage(prompt, count(said.get("output_tokens")), cached_tokens=kept)


def total(parts: Iterable[int | None]) -> int | None:
    """Returns the sum of what is known, None where nothing is."""
    known = [part for part in parts if part is not None]
    return sum(known) if known else None


def data_of(frame: bytes) -> dict[str, Any]:
    """Parses the data of an event."""
    return parsed(frame.partition(b"\ndata: ")[2])


class NamedEventReader(Reader):
    """Relays events as they are."""

    separator = b"\n\n"

    def look(self, frame: bytes) -> bytes | None:
        """Reads the counts, and ends the stream at its mark or at an error."""
        name = frame.partition(b"\n")[0].removeprefix(b"event: ").decode(errors="replace")
        if name == "error":
            self.fail(data_of(frame).get("error"))
            return None
        self.look_at(name, frame)
        return frame

    def look_at(self, name: str, frame: bytes) -> None:
        """Takes note of one event by its name."""
        raise NotImplementedError


class MessageReader(NamedEventReader):
    """Reads a message: real counts come in `message_delta`, the end is `message_stop`."""

    marks = (b'"usage":', b"event: message_stop\n", b"event: error\n")

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.counts: dict[str, Any] = {}  # of all events so far: a later one may leave out what has not changed

    def look_at(self, name: str, frame: bytes) -> None:
        """Takes note of one event by its name."""
        if name == "message_stop":
            self.over = True
            return
        if name not in ("message_start", "message_delta"):
            return
        data, begins = data_of(frame), name == "message_start"
        usage = object_of((object_of(data.get("message")) if begins else data).get("usage"))
        said = {field: value for field, value in usage.items() if value is not None}
        if begins:
            # An estimate, of the prompt alone.
            said.pop("output_tokens", None)
            self.foretold = message_usage(said)
        elif said:
            self.usage = message_usage(self.counts | said)
        self.counts |= said

    def length_end(self) -> bytes:
        """Ends the open block and the message, with a `stop_reason` of `max_tokens`."""
        index = data_of(self.latest_frame()).get("index", 0)
        counts = {"input_tokens": self.facts.prompt_estimate, "output_tokens": self.events}
        return (
            event_of({"type": "content_block_stop", "index": index})
            + event_of({"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": counts})
            + event_of({"type": "message_stop"})
        )


def event_of(data: dict[str, Any]) -> bytes:
    """Returns an event that is named by its data's type."""
    name: str = data["type"]
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


class ResponseReader(NamedEventReader):
    """Reads a response: counts and end come in `response.completed`, or in what stands in its place."""

    marks = (
        b"event: response.created\n",
        b"event: response.completed\n",
        b"event: response.failed\n",
        b"event: response.incomplete\n",
        b'"usage":{',
        b"event: error\n",
    )

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self.response: dict[str, Any] = {}  # as it was when it was created

    def look_at(self, name: str, frame: bytes) -> None:
        """Takes note of one event by its name."""
        if name == "response.created":
            self.response = object_of(data_of(frame).get("response"))
        elif name in ("response.completed", "response.failed", "response.incomplete"):
            self.over = True
            self.failed = name == "response.failed"
        if self.marked(frame):
            usage = object_of(data_of(frame).get("response")).get("usage")
            if usage:
                self.usage = latest(self.usage, response_usage(usage))

    def length_end(self) -> bytes:
        """Returns `response.incomplete`, which is how OpenAI ends a response that reached its cap."""
        prompt, output = self.facts.prompt_estimate, self.events
        response = {
            **self.response,
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "usage": {"input_tokens": prompt, "output_tokens": output, "total_tokens": prompt + output},
        }
        return event_of({"type": "response.incomplete", "sequence_number": self.events, "response": response})

    def error_event(self, surface: Surface, refusal: Refusal, request_id: str) -> bytes:
        """Returns the `error` event of a response, with the object on which OpenAI's SDK raises beside it."""
        body = parsed(surface.error(refusal, request_id))
        event = {
            "type": "error",
            "code": refusal.kind,
            "message": refusal.client_text(request_id),
            "param": None,
            "sequence_number": self.events,
            **body,
        }
        return b"event: error\ndata: " + orjson.dumps(event) + b"\n\n"


class Messages(WireFormat):
    """Anthropic's messages."""

    reader = MessageReader

    def usage(self, body: bytes) -> Usage:
        """Reads the counts of an answer in one object."""
        return message_usage(parsed(body).get("usage"))

    def mend(self, body: bytes) -> bytes:
        """Writes an empty list where Ollama writes null for an answer without content."""
        answer = parsed(body) if NO_CONTENT in body else {}
        return orjson.dumps({**answer, "content": []}) if answer.get("content", ...) is None else body


class Responses(WireFormat):
    """OpenAI's responses."""

    reader = ResponseReader

    def usage(self, body: bytes) -> Usage:
        """Reads the counts of an answer in one object."""
        return response_usage(parsed(body).get("usage"))
