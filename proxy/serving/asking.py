"""What every kind of route does with Ollama: ask once, in time, and take a refusal for what it is."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from proxy.call import DONE, REFUSED
from proxy.error_reason import upstream_reason
from proxy.exceptions import UpstreamError, UpstreamTimeout
from proxy.metadata import Question
from proxy.refusals import lacks_path, too_old, upstream_refusal, version_in, words
from proxy.relay import whole
from proxy.running import running

if TYPE_CHECKING:
    from gateway.rest import Refusal
    from proxy.call import Call
    from proxy.upstream import Answer, Payload

# How an Ollama is asked its version, and for how many seconds the answer counts.
VERSION = Question("GET", "/api/version")
VERSION_TIMEOUT = 2.0
VERSION_SECONDS = 5.0


async def ask(call: Call, method: str, path: str, body: Payload = b"") -> Answer:
    """Sends a call's request to Ollama and returns its answer, whose body is yet to be read.

    Raises UpstreamError; a call that waits too long for the first byte is cut.
    """
    now = monotonic()
    call.wait_until(now + running.first_byte_timeout, first_byte_timed_out)
    call.outcome.dispatched = True
    call.outcome.asked_at = now
    answer = await running.upstream.send(method, path, body)
    call.holds.append(answer)
    if call.share is not None:
        call.share.close()
    call.answered = answer.status
    if answer.status >= 300:  # noqa: PLR2004 -- anything but a success
        text = b"" if method == "HEAD" else await whole(answer, call, running.idle)
        call.outcome.ended = REFUSED
        raise await refused_by_ollama(call, path, answer.status, text, body if isinstance(body, bytes) else None)
    return answer


async def ask_whole(call: Call, method: str, path: str, body: Payload = b"") -> bytes:
    """Asks Ollama and returns its whole answer."""
    content = await whole(await ask(call, method, path, body), call, running.idle)
    call.outcome.first_byte = monotonic() - call.started
    call.outcome.ended = DONE
    return content


async def ask_metadata(call: Call, question: Question, seconds: float = 0.0) -> bytes:
    """Returns Ollama's answer to a question about itself, which others may have asked; keeps it for so many seconds.

    Raises UpstreamError.
    """
    call.wait_until(monotonic() + running.first_byte_timeout, first_byte_timed_out)
    reply = await running.metadata.get(question, seconds)
    call.wait_no_more()
    call.outcome.first_byte = monotonic() - call.started
    call.answered = reply.status
    if reply.status >= 300:  # noqa: PLR2004 -- anything but a success
        call.outcome.ended = REFUSED
        raise await refused_by_ollama(call, question.path, reply.status, reply.body, None)
    call.outcome.ended = DONE
    return reply.body


async def refused_by_ollama(call: Call, path: str, status: int, text: bytes, sent: bytes | None) -> UpstreamError:
    """Returns the refusal that Ollama's error answer to a path becomes, with what may be logged of it.

    `sent` is the request's body, whose words don't belong in a log; None if it is not known.  An Ollama that seems to
    be too old for the path is asked its version.
    """
    if lacks_path(status, text):
        older = too_old(await upstream_version(), path)
        if older is not None:
            return older
    names = (call.facts.model, call.facts.target) if call.facts else ()
    refusal = upstream_refusal(status, text, *names)
    said = words(text)
    if names:
        said = said.replace(names[1], names[0])
    quotes = bool(said) and said in refusal.message
    refusal.logged = upstream_reason(refusal.message, names, sent) if quotes else refusal.message
    return refusal


async def upstream_version() -> str:
    """Returns Ollama's version, "" where it does not tell."""
    try:
        async with asyncio.timeout(VERSION_TIMEOUT):
            reply = await running.metadata.get(VERSION, VERSION_SECONDS)
        return version_in(reply.body)
    except (UpstreamError, TimeoutError, ValueError):
        return ""


def first_byte_timed_out() -> Refusal:
    """Returns what a client hears when Ollama did not begin to answer."""
    return UpstreamTimeout("UPSTREAM_FIRST_BYTE_TIMEOUT", running.first_byte_timeout)
