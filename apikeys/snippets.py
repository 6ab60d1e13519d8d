"""What to paste to use a key."""

from __future__ import annotations

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
