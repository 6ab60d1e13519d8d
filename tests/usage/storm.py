"""Calls that end in every way there is, chosen by chance: what clients saw is noted, to be held against the account."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from benchmarks.stub.knobs import words
from tests.usage.house import Answered, House, Key, Wire, request, wire

CLIENTS = 48
# Paths whose answers are streamed or not, with the body that says a text.
BODIES: dict[str, Callable[[str], dict[str, Any]]] = {
    "/api/generate": lambda text: {"prompt": text},
    "/api/chat": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/api/v1/generate": lambda text: {"prompt": text},
    "/v1/chat/completions": lambda text: {"messages": [{"role": "user", "content": text}]},
    "/v1/completions": lambda text: {"prompt": text},
    "/v1/messages": lambda text: {"messages": [{"role": "user", "content": text}], "max_tokens": 5000},
    "/v1/responses": lambda text: {"input": text},
}
BEFORE = ("status=500", "status=503", "status=404", "status=429", "status=400 plain=1", "malformed=status")
DURING = ("error_after=2", "eof_after=2", "die_after=2", "reset_after=2", "malformed=chunk", "malformed=json")
NONSENSE = (b"{", b"[]", b'{"model": 7}', b'{"prompt": "a", "prompt": "b"}', b"\xff", b'{"messages": "no", "input": 7}')


class Said(NamedTuple):
    """What was asked of Ollama, and in which words it is known again."""

    request_id: str
    path: str
    body: dict[str, Any]
    prompt_tokens: int
    completion_tokens: int


class Storm:
    """Many clients at once; `done` is what those saw that came to an end, by request, `seen` the others' frames."""

    def __init__(self, house: House, count: int, seed: int) -> None:
        self.house = house
        self.left = count
        self.chance = random.Random(seed)  # noqa: S311 -- it makes no secrets
        self.number = 0
        self.done: dict[str, Said] = {}
        self.seen: dict[str, int] = {}
        self.statuses: Counter[int] = Counter()
        few = max(3, count // 100)
        self.free = [house.issue(concurrency=1000, tokens_per_day=10**9, requests_per_minute=10**6) for _ in range(3)]
        self.strict = [house.issue(concurrency=1, requests_per_minute=20) for _ in range(3)]
        self.poor = [house.issue(tokens_per_day=200, concurrency=1000) for _ in range(few)]
        self.victims = [house.issue(concurrency=1000, tokens_per_day=10**9) for _ in range(few)]
        self.keys = [*self.free, *self.strict, *self.poor, *self.victims]

    async def blow(self) -> None:
        """Lets them all loose until as many calls were made as wanted."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(self.client())

    async def client(self) -> None:
        ways: list[Callable[[], Awaitable[None]]] = [
            *[self.finishes] * 8,
            *[self.leaves_in_the_stream] * 6,
            *[self.leaves_before_the_answer] * 3,
            *[self.leaves_at_once] * 2,
            *[self.leaves_in_the_body] * 2,
            self.leaves_in_the_head,
            *[self.fails_before] * 2,
            *[self.fails_in_the_answer] * 3,
            self.is_silent,
            *[self.is_over_a_limit] * 2,
            *[self.is_out_of_budget] * 2,
            *[self.is_nonsense] * 2,
            self.embeds,
            self.is_revoked,
        ]
        while self.left > 0:
            self.left -= 1
            await self.chance.choice(ways)()

    def say(self, knobs: str = "", *, chunks: int = 0, stream: bool | None = None) -> Said:
        """Makes a request up."""
        self.number += 1
        request_id = f"storm-{self.number:06}"
        path = self.chance.choice(list(BODIES))
        text = " ".join([request_id, *["word"] * self.chance.randint(1, 12)])
        chunks = chunks or self.chance.randint(1, 40)
        stream = self.chance.random() < 0.6 if stream is None else stream
        body = {"model": "stub", "stream": stream, **BODIES[path](f"{text} [[chunks={chunks} {knobs}]]")}
        return Said(request_id, path, body, len(words(text)), chunks)

    def sent(self, said: Said, key: Key | None = None, length: int | None = None) -> bytes:
        secret = (key or self.chance.choice(self.free)).secret
        return request(said.path, said.body, secret, said.request_id, length)

    async def ask(self, said: Said, key: Key | None = None) -> Answered | None:
        """Asks and reads to the end; returns None for an answer that was cut off."""
        async with wire(self.house.server) as found:
            found.send(self.sent(said, key))
            try:
                answer = await found.answer()
            except asyncio.IncompleteReadError:
                return None
        self.statuses[answer.status] += 1
        return answer

    async def finishes(self) -> None:
        said = self.say(f"interval_ms={self.chance.choice([0, 0, 2])}")
        answer = await self.ask(said)
        assert answer is not None
        if answer.status == 200:
            self.done[said.request_id] = said
        else:
            assert answer.status == 503, answer  # no turn came

    async def embeds(self) -> None:
        said = self.say(stream=False)
        said = said._replace(path="/api/embed", body={"model": "stub-embed", "input": said.request_id}, prompt_tokens=1)
        said = said._replace(completion_tokens=0)
        answer = await self.ask(said)
        if answer is not None and answer.status == 200:
            self.done[said.request_id] = said

    async def leaves_in_the_stream(self) -> None:
        said = self.say("interval_ms=5", chunks=500, stream=True)
        async with wire(self.house.server) as found:
            found.send(self.sent(said))
            answer = await found.answer(most=self.chance.randint(1, 20))
            if answer.status == 200:
                self.seen[said.request_id] = answer.body.count(b"word")
            found.leave(reset=self.chance.random() < 0.5)

    async def leaves_before_the_answer(self) -> None:
        said = self.say(f"first_delay_ms={self.chance.choice([100, 5000])}")
        await self.leaves(said, self.chance.random() * 0.1)

    async def leaves_at_once(self) -> None:
        await self.leaves(self.say(), 0.0)

    async def leaves_in_the_body(self) -> None:
        said = self.say()
        async with wire(self.house.server) as found:
            found.send(self.sent(said, length=5000))
            await self.pause_and_leave(found, self.chance.random() * 0.05)

    async def leaves_in_the_head(self) -> None:
        async with wire(self.house.server) as found:
            found.send(self.sent(self.say())[: self.chance.randint(1, 60)])
            await self.pause_and_leave(found, self.chance.random() * 0.02)

    async def leaves(self, said: Said, seconds: float) -> None:
        async with wire(self.house.server) as found:
            found.send(self.sent(said))
            await self.pause_and_leave(found, seconds)

    async def pause_and_leave(self, found: Wire, seconds: float) -> None:
        await asyncio.sleep(seconds)
        found.leave(reset=self.chance.random() < 0.5)

    async def fails_before(self) -> None:
        answer = await self.ask(self.say(self.chance.choice(BEFORE)))
        assert answer is not None
        assert answer.status >= 400, answer

    async def fails_in_the_answer(self) -> None:
        await self.ask(self.say(self.chance.choice(DURING), chunks=20))

    async def is_silent(self) -> None:
        await self.ask(self.say(self.chance.choice(["hang=1", "hang_after=2"]), chunks=20))

    async def is_over_a_limit(self) -> None:
        key = self.chance.choice(self.strict)
        answer = await self.ask(said := self.say("interval_ms=5"), key)
        assert answer is not None
        if answer.status == 200:
            self.done[said.request_id] = said

    async def is_out_of_budget(self) -> None:
        await self.ask(self.say("endless=1", stream=True), self.chance.choice(self.poor))

    async def is_nonsense(self) -> None:
        async with wire(self.house.server) as found:
            path = self.chance.choice([*BODIES, "/api/nothing"])
            found.send(request(path, self.chance.choice(NONSENSE), self.chance.choice(self.free).secret))
            assert (await found.answer()).status in {400, 404}

    async def is_revoked(self) -> None:
        if not self.victims:
            return
        key = self.victims.pop()
        async with wire(self.house.server) as found:
            found.send(self.sent(said := self.say("interval_ms=20", chunks=2000, stream=True), key))
            answer = await found.answer(most=2)
            if answer.status == 200:
                self.seen[said.request_id] = answer.body.count(b"word")
                await self.house.revoke(key)
                await found.chunks()
