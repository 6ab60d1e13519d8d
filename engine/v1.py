"""The /v1 endpoints: passed to llama.cpp's own server, which speaks OpenAI's and Anthropic's dialects."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

from engine import native, whole
from engine.anthropic import MessageCounts
from engine.api import known_model
from engine.errors import Refusal
from engine.exchange import JSON, SSE, Exchange
from engine.frames import is_progress, payload
from engine.llama import Llama
from engine.model import NAME
from engine.responses import ResponseOrder
from engine.wire import dumps, loads

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
COUNT = "/v1/messages/count_tokens"
EMBEDDINGS = "/v1/embeddings"

# How a stream's events become the one object that a client asked for instead.
WHOLE: dict[str, Callable[[list[native.Body]], native.Body]] = {
    CHAT: whole.chat,
    COMPLETIONS: whole.completion,
    RESPONSES: whole.response,
    MESSAGES: whole.message,
}
# What llama.cpp leaves out of the frames of a stream, and Ollama does not.
MISSING: dict[str, type[MessageCounts | ResponseOrder]] = {MESSAGES: MessageCounts, RESPONSES: ResponseOrder}
# Where llama.cpp reports its progress in frames that can be told from the others.
REPORTING = frozenset({CHAT, COMPLETIONS})

OPENAI_TYPES = {400: "invalid_request_error", 404: "not_found_error"}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
}


class Pass:
    """Passes requests on to llama.cpp's server, when it is their turn."""

    def __init__(self, llama: Llama, turns: asyncio.Semaphore) -> None:
        self.llama = llama
        self.turns = turns

    async def generation(self, exchange: Exchange) -> None:
        """Answers the endpoints that generate, streamed or not."""
        body = loads(exchange.body)
        known_model(body, required=exchange.path != COMPLETIONS)
        if body.get("tools"):
            raise Refusal(400, f"registry.ollama.ai/library/{NAME} does not support tools")
        if exchange.path in (CHAT, MESSAGES) and not (isinstance(body.get("messages"), list) and body["messages"]):
            raise Refusal(400, "[] is too short - 'messages'")
        stream = native.wants_stream(body, default=False)
        # Always streamed here: that alone lets llama.cpp notice that a request was given up.
        request = {**body, "stream": True}
        if exchange.path in REPORTING:
            request["return_progress"] = True
        if exchange.path == CHAT and not stream:
            request["stream_options"] = {"include_usage": True}
        missing = MISSING[exchange.path]() if exchange.path in MISSING else None
        events: list[native.Body] = []
        async with self.turns, self.llama.post(exchange.path, request) as reply:
            async for given in reply.frames():
                if is_progress(given) and exchange.path in REPORTING:
                    continue
                frame = missing.amend(given) if missing else given
                if stream:
                    await exchange.piece(frame, SSE)
                elif (event := payload(frame)) is not None:
                    reply.check(event)
                    events.append(event)
        if stream:
            await exchange.end()
        else:
            await exchange.json(WHOLE[exchange.path](events))

    async def embeddings(self, exchange: Exchange) -> None:
        """Answers POST /v1/embeddings."""
        async with self.turns:
            await self._plain(exchange, last="usage")

    async def count(self, exchange: Exchange) -> None:
        """Answers POST /v1/messages/count_tokens."""
        await self._plain(exchange)

    async def _plain(self, exchange: Exchange, last: str = "") -> None:
        """Passes an answer on; the field named `last` comes last, where Ollama has it."""
        body = loads(exchange.body)
        known_model(body, required=False)
        answer = await self.llama.ask(exchange.path, body)
        if last in answer:
            answer[last] = answer.pop(last)
        await exchange.whole(200, dumps(answer), JSON)


def error(path: str, refusal: Refusal) -> native.Body:
    """Returns the error object in the path's dialect."""
    if path.startswith(MESSAGES):
        kind = ANTHROPIC_TYPES.get(refusal.status, "api_error")
        detail = {"type": kind, "message": refusal.text}
        return {"type": "error", "error": detail, "request_id": f"req_{secrets.token_hex(12)}"}
    if path.startswith("/v1/"):
        kind = OPENAI_TYPES.get(refusal.status, "api_error")
        return {"error": {"message": refusal.text, "type": kind, "param": None, "code": None}}
    return {"error": refusal.text}
