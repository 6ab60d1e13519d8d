"""Start-up checks of the settings against each other, with stable ids."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004 -- Django's name for it

from gateway.env import GENERATED, Env

SHORTEST_SECRET = 32
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})


@register(Tags.security)
def check_settings(**_: Any) -> list[CheckMessage]:
    """Reports what can't be meant, or is dangerous, in this combination of settings."""
    env: Env = settings.ENV
    return [*exposure(env), *production(env), *upstream(env), *sharing(env)]


def exposure(env: Env) -> Iterator[CheckMessage]:
    """Looks at who can reach the gateway, and how."""
    if is_loopback(env.HOST):
        return
    if not env.tls:
        yield Warning(
            f"HOST={env.HOST} lets other machines in while TLS is off: keys and prompts travel in plain text.",
            hint="Listen on 127.0.0.1 behind a proxy that speaks TLS, with TLS=on, unless the network is yours alone.",
            id="gateway.W001",
        )
    if LOOPBACK_NAMES.issuperset(env.ALLOWED_HOSTS):
        yield Warning(
            f"HOST={env.HOST} lets other machines in, but ALLOWED_HOSTS has no name that they could use.",
            hint="Add this machine's name or address to ALLOWED_HOSTS; requests to other names are answered 400.",
            id="gateway.W002",
        )
    if env.DEBUG and not env.production:
        yield debug_is_on()


def production(env: Env) -> Iterator[CheckMessage]:
    """Looks at what is fine on a desk and not in production."""
    if not env.production:
        return
    if env.DEBUG:
        yield debug_is_on()
    if "*" in env.ALLOWED_HOSTS:
        yield Warning(
            "ALLOWED_HOSTS=* in production believes any Host header.",
            hint="Name the hosts that clients use, separated by commas.",
            id="gateway.W004",
        )
    for name in GENERATED:
        if is_weak(getattr(env, name)):
            yield Error(
                f"{name} is too easy to guess for production.",
                hint=f"Use at least {SHORTEST_SECRET} random characters; without one, a start writes one into .env. "
                "A changed KEY_PEPPER ends all keys, unless KEY_PEPPER_FALLBACKS has the former one.",
                id="gateway.E001",
            )


def upstream(env: Env) -> Iterator[CheckMessage]:
    """Looks at the way to Ollama."""
    url = urlsplit(env.OLLAMA_URL or "")
    if env.OLLAMA_API_KEY and url.scheme == "http" and not is_loopback(url.hostname or ""):
        yield Warning(
            "OLLAMA_API_KEY is sent to Ollama in plain text.",
            hint="Use an https:// address in OLLAMA_URL.",
            id="gateway.W005",
        )
    if env.OLLAMA_CA and url.scheme != "https":
        yield Warning(
            "OLLAMA_CA has no effect: OLLAMA_URL is not an https:// address.",
            hint="Use an https:// address in OLLAMA_URL, or remove OLLAMA_CA.",
            id="gateway.W006",
        )


def sharing(env: Env) -> Iterator[CheckMessage]:
    """Looks at how several processes share limits."""
    if not env.REDIS_URL:
        return
    url = urlsplit(env.REDIS_URL)
    if url.scheme == "redis" and url.password and not is_loopback(url.hostname or ""):
        yield Warning(
            "REDIS_URL sends its password in plain text.",
            hint="Use rediss://, unless the network to Redis is yours alone.",
            id="gateway.W007",
        )
    if env.LIMITS == "per-process":
        yield Warning(
            "LIMITS=per-process has no effect: REDIS_URL lets all processes count together.",
            hint="Remove one of the two.",
            id="gateway.W008",
        )


def debug_is_on() -> Warning:
    """Says that prompts can be seen."""
    return Warning(
        "DEBUG is on where others can see it: Django's error pages show prompts and settings.",
        hint="Remove DEBUG, or set it to false.",
        id="gateway.W003",
    )


def is_loopback(host: str) -> bool:
    """Tells whether only this machine can reach that host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_weak(secret: str) -> bool:
    """Tells whether a secret is short or made of a few characters."""
    return len(secret) < SHORTEST_SECRET or len(set(secret)) < SHORTEST_SECRET // 4
