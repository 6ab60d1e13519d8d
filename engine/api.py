"""Ollama's native endpoints that think: generate, chat, embed and embeddings."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from engine import native
from engine.errors import Refusal
from engine.exchange import NDJSON, Exchange
from engine.llama import BATCH, Llama
from engine.model import is_known
from engine.wire import dumps, loads, timestamp

MILLISECOND = 1_000_000  # in Ollama's unit, the nanosecond


class Api:
    """The native endpoints over one llama.cpp; `turns` lets as many requests in as it has slots, in order."""

    def __init__(self, llama: Llama, turns: asyncio.Semaphore) -> None:
        self.llama = llama
        self.turns = turns

    async def generate(self, exchange: Exchange) -> None:
        """Answers POST /api/generate."""
        body = loads(exchange.body)
        model = known_model(body, required=False)
        native.check_abilities(body)
        prompt = native.generate_prompt(body)
        unload = native.unloads(body.get("keep_alive"))
        if not body.get("prompt"):
            await exchange.json(at_rest(model, {"response": ""}, unload=unload))
            return
        await self._complete(exchange, body, prompt, lambda text: {"response": text})

    async def chat(self, exchange: Exchange) -> None:
        """Answers POST /api/chat."""
        body = loads(exchange.body)
        model = known_model(body, required=True)
        native.check_abilities(body)
        unload = native.unloads(body.get("keep_alive"))
        if not body.get("messages"):
            await exchange.json(at_rest(model, spoken(""), unload=unload))
            return
        await self._complete(exchange, body, native.chat_prompt(body["messages"]), spoken)

    async def embed(self, exchange: Exchange) -> None:
        """Answers POST /api/embed: unit vectors for one text or several."""
        started = time.perf_counter_ns()
        body = loads(exchange.body)
        model = known_model(body, required=False, hint=", try pulling it first")
        texts = body.get("input")
        texts = [texts] if isinstance(texts, str) and texts else texts or []
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise Refusal(400, "invalid input type")
        dimensions = body.get("dimensions") or 0
        if isinstance(dimensions, bool) or not isinstance(dimensions, int) or dimensions < 0:
            raise Refusal(400, "dimensions must be a positive integer")
        if not texts:
            await exchange.json({"model": model, "embeddings": []})
            return
        async with self.turns:
            loaded = time.perf_counter_ns()
            tokens = [await self._tokens(text, truncate=body.get("truncate") is not False) for text in texts]
            vectors = await self._vectors(tokens, normalise=True)
        if dimensions:
            vectors = [unit(vector[:dimensions]) for vector in vectors]
        metrics = {
            "total_duration": time.perf_counter_ns() - started,
            "load_duration": loaded - started,
            "prompt_eval_count": sum(map(len, tokens)),
        }
        await exchange.json({"model": model, "embeddings": vectors, **metrics})

    async def embeddings(self, exchange: Exchange) -> None:
        """Answers POST /api/embeddings, the old form: one vector as it is, no counts."""
        body = loads(exchange.body)
        known_model(body, required=True, hint=", try pulling it first")
        prompt = native.text_field(body, "prompt")
        if not prompt:
            await exchange.json({"embedding": []})
            return
        async with self.turns:
            vectors = await self._vectors([await self._tokens(prompt, truncate=True)], normalise=False)
        await exchange.json({"embedding": vectors[0]})

    async def _complete(
        self, exchange: Exchange, body: native.Body, prompt: str, part: Callable[[str], native.Body]
    ) -> None:
        """Generates, and answers with lines or with one object; `part` wraps a text as the endpoint does."""
        started = time.perf_counter_ns()
        model, stream = body["model"], native.wants_stream(body, default=True)
        # Always streamed here: that alone lets llama.cpp notice that a request was given up,
        # and its progress reports let it notice while it still reads the prompt.
        request = {"prompt": prompt, "stream": True, "return_progress": True}
        request |= native.sampling(body.get("options")) | native.shape(body.get("format"))
        texts: list[str] = []
        async with self.turns:
            loaded = time.perf_counter_ns()
            async with self.llama.post("/completion", request) as reply:
                async for event in reply.events():
                    text = event.get("content") or ""
                    if event.get("stop"):
                        break
                    if not text:
                        continue
                    if stream:
                        line = {"model": model, "created_at": timestamp(), **part(text), "done": False}
                        await exchange.piece(dumps(line) + b"\n", NDJSON)
                    else:
                        texts.append(text)
                else:
                    raise Refusal(500, "the demo model stopped in the middle of its answer: try again")
        last = {
            "model": model,
            "created_at": timestamp(),
            **part(text if stream else "".join([*texts, text])),
            "done": True,
            "done_reason": "length" if event.get("stop_type") == "limit" else "stop",
            **metrics(event, total=time.perf_counter_ns() - started, load=loaded - started),
        }
        if stream:
            await exchange.piece(dumps(last) + b"\n", NDJSON)
            await exchange.end()
        else:
            await exchange.json(last)

    async def _tokens(self, text: str, *, truncate: bool) -> list[int]:
        """Returns the text's tokens, at most as many as can be embedded at once.

        Raises Refusal(400) when there are more and they may not be cut.
        """
        answer = await self.llama.ask("/tokenize", {"content": text, "add_special": True})
        tokens: list[int] = answer["tokens"]
        if len(tokens) > BATCH and not truncate:
            raise Refusal(400, "the input length exceeds the context length")
        return tokens[:BATCH]

    async def _vectors(self, tokens: list[list[int]], *, normalise: bool) -> list[list[float]]:
        """Returns one vector for each list of tokens."""
        answer = await self.llama.ask("/embeddings", {"input": tokens, "embd_normalize": 2 if normalise else -1})
        return [entry["embedding"][0] for entry in sorted(answer, key=lambda entry: int(entry["index"]))]


def known_model(body: native.Body, *, required: bool, hint: str = "") -> str:
    """Returns the model's name as the client spelled it.

    Raises Refusal(400) when it is required and missing, and Refusal(404) in Ollama's words when it is not ours.
    """
    name = native.text_field(body, "model")
    if not name and required:
        raise Refusal(400, "model is required")
    if not is_known(name):
        quoted = f'"{name}"' if hint else f"'{name}'"
        raise Refusal(404, f"model {quoted} not found{hint}")
    return name


def spoken(text: str) -> native.Body:
    """Returns the assistant's message."""
    return {"message": {"role": "assistant", "content": text}}


def at_rest(model: str, part: native.Body, *, unload: bool) -> native.Body:
    """Returns the answer to a request that only loads or unloads the model."""
    reason = "unload" if unload else "load"
    return {"model": model, "created_at": timestamp(), **part, "done": True, "done_reason": reason}


def metrics(event: native.Body, *, total: int, load: int) -> native.Body:
    """Returns counts and durations (nanoseconds) from llama.cpp's last event; zeros are left out, as Ollama does."""
    timings = event.get("timings") or {}
    counts = {
        "total_duration": total,
        "load_duration": load,
        "prompt_eval_count": event.get("tokens_evaluated", 0),
        "prompt_eval_duration": int(timings.get("prompt_ms", 0) * MILLISECOND),
        "eval_count": event.get("tokens_predicted", 0),
        "eval_duration": int(timings.get("predicted_ms", 0) * MILLISECOND),
    }
    return {name: value for name, value in counts.items() if value}


def unit(vector: list[float]) -> list[float]:
    """Returns the vector scaled to length one."""
    length = math.hypot(*vector)
    return [number / length for number in vector] if length else vector
