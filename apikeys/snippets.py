"""What to paste to use a key."""

from __future__ import annotations

from typing import NamedTuple

from django.conf import settings

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 -- compared with, not bound to


def local_url() -> str:
    """Returns the address at which this machine reaches the gateway."""
    host = ANY_ADDRESS.get(settings.ENV.HOST, settings.ENV.HOST)
    return f"http://{host}:{settings.ENV.PORT}"


def curl(secret: str, base_url: str) -> str:
    """Returns a command that asks for a streamed answer with this key."""
    parts = (
        f"curl -N {base_url.rstrip('/')}/api/v1/generate",
        f"-H 'X-API-Key: {secret}'",
        "-H 'Content-Type: application/json'",
        """-d '{"prompt": "Say hello.", "stream": true}'""",
    )
    return " \\\n  ".join(parts)


class Snippet(NamedTuple):
    """A way to use a key."""

    name: str
    text: str

    def __repr__(self) -> str:
        """Names itself alone: Django writes what a template was given into its log of missing variables."""
        return f"Snippet({self.name!r})"


def snippets(secret: str, base_url: str) -> list[Snippet]:
    """Returns ways to use a key."""
    url = base_url.rstrip("/")
    sdk = (
        "from openai import OpenAI",
        "",
        "client = OpenAI(",
        f'    base_url="{url}/v1",',
        f'    api_key="{secret}",',
        ")",
        "answer = client.chat.completions.create(",
        f'    model="{settings.OLLAMA_MODEL}",',
        '    messages=[{"role": "user", "content": "Say hello."}],',
        ")",
        "print(answer.choices[0].message.content)",
    )
    # The command can send no key; the relay that comes with the gateway lends it one.
    cli = (
        f"export OLLAMA_API_KEY='{secret}'",
        f"python3 scripts/ollama_shim.py {url} &",
        f"OLLAMA_HOST=127.0.0.1:11435 ollama run {settings.OLLAMA_MODEL}",
    )
    return [
        Snippet("curl", curl(secret, base_url)),
        Snippet("OpenAI SDK", "\n".join(sdk)),
        Snippet("ollama CLI", "\n".join(cli)),
    ]
