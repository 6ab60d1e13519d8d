"""What to paste to use a key."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from django.conf import settings

from apikeys import lists
from apikeys.delegation import model_covers

if TYPE_CHECKING:
    from apikeys.models import Key

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 -- compared with, not bound to


def local_url() -> str:
    """Returns the address at which this machine reaches the gateway."""
    host = ANY_ADDRESS.get(settings.ENV.HOST, settings.ENV.HOST)
    return f"http://{host}:{settings.ENV.PORT}"


def model_of(key: Key) -> str:
    """Returns a model that a key may ask for: the default one if it may, else one that its rules name."""
    allowed = lists.parts(key.models)
    if not allowed or any(model_covers(pattern, settings.OLLAMA_MODEL) for pattern in allowed):
        return str(settings.OLLAMA_MODEL)
    return next((name for name in allowed if "*" not in name), str(settings.OLLAMA_MODEL))


def curl(secret: str, base_url: str, model: str = "") -> str:
    """Returns a command that asks for a streamed answer with this key, of the default model unless another is given."""
    asked = {"prompt": "Say hello.", "stream": True}
    if model not in ("", settings.OLLAMA_MODEL):
        asked = {"model": model, **asked}
    parts = (
        f"curl -N {base_url.rstrip('/')}/api/v1/generate",
        f"-H 'X-API-Key: {secret}'",
        "-H 'Content-Type: application/json'",
        f"-d '{json.dumps(asked)}'",
    )
    return " \\\n  ".join(parts)


class Snippet(NamedTuple):
    """A way to use a key."""

    name: str
    dialect: str
    path: str
    text: str

    def __repr__(self) -> str:
        """Names itself alone: Django writes what a template was given into its log of missing variables."""
        return f"Snippet({self.name!r})"


def snippets(key: Key, base_url: str) -> list[Snippet]:
    """Returns ways to use a key that was just given its secret, of those that it may go."""
    if "inference" not in lists.parts(key.scopes):
        return []
    routes = lists.parts(key.routes)
    return [
        one
        for one in all_snippets(key.secret, base_url.rstrip("/"), model_of(key))
        if not routes or one.dialect in routes or any(fnmatchcase(one.path, pattern) for pattern in routes)
    ]


def all_snippets(secret: str, url: str, model: str) -> list[Snippet]:
    """Returns all ways to use a key."""
    sdk = (
        "from openai import OpenAI",
        "",
        "client = OpenAI(",
        f'    base_url="{url}/v1",',
        f'    api_key="{secret}",',
        ")",
        "answer = client.chat.completions.create(",
        f'    model="{model}",',
        '    messages=[{"role": "user", "content": "Say hello."}],',
        ")",
        "print(answer.choices[0].message.content)",
    )
    # The command can send no key; the relay that comes with the gateway lends it one.
    cli = (
        f"export OLLAMA_API_KEY='{secret}'",
        f"python3 scripts/ollama_shim.py {url} &",
        f"OLLAMA_HOST=127.0.0.1:11435 ollama run {model}",
    )
    return [
        Snippet("curl", "gateway", "/api/v1/generate", curl(secret, url, model)),
        Snippet("OpenAI SDK", "openai", "/v1/chat/completions", "\n".join(sdk)),
        Snippet("ollama CLI", "ollama", "/api/chat", "\n".join(cli)),
    ]
