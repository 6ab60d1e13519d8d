"""What the value of a setting may look like: types that check themselves and say what is allowed."""

from __future__ import annotations

import ipaddress
import re
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import NoDecode

from gateway.context_window import parse

HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def split_commas(value: object) -> object:
    """Splits a comma-separated text into its parts."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def ollama_url(value: str) -> str:
    """Reduces a URL to its base: scheme, host, port and path prefix, without `/api/generate` at its end."""
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("an http:// or https:// URL such as http://localhost:11434") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("a URL without user name, query or fragment; a credential goes into OLLAMA_API_KEY")
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or re.search(r"[\s\\]", value):
        raise ValueError("an http:// or https:// URL such as http://localhost:11434")
    path = parts.path.rstrip("/").removesuffix("/api/generate").rstrip("/")
    return f"{parts.scheme}://{parts.netloc.rstrip(':')}{path}"


# What the gateway's own paths begin with: under such a prefix nobody could tell whether a proxy has taken it off.
OWN_SEGMENTS = frozenset({"admin", "api", "docs", "favicon.ico", "health", "k", "metrics", "shim.py", "static", "v1"})
SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+")
LONGEST_PREFIX = 200


def path_prefix(value: str) -> str:
    """Reduces a path prefix to one leading slash and none at its end; "" for none."""
    segments = value.removeprefix("/").removesuffix("/").split("/")
    if segments == [""]:
        return ""
    if len(value) > LONGEST_PREFIX or not all(SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError("a path such as /ollama, of letters, digits, dots, hyphens and underscores")
    if segments[0].lower() in OWN_SEGMENTS:
        raise ValueError("a path such as /ollama that does not begin as the gateway's own paths do (/api, /v1, /admin)")
    return "/" + "/".join(segments)


def bearer_token(value: str) -> str:
    """Insists on what can stand in a header."""
    token = value.strip()
    if not re.fullmatch(r"[!-~]+", token):
        raise ValueError("a token of visible ASCII characters, without spaces or line breaks")
    return token


def listen_address(value: str) -> str:
    """Insists on an IP address or a host name, and takes the brackets off an IPv6 address."""
    bare = value.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(bare)
    except ValueError:
        if not HOST_NAME.fullmatch(bare):
            raise ValueError("an address or host name such as 127.0.0.1, ::1 or 0.0.0.0; PORT is its own") from None
    return bare


def database_url(value: str) -> str:
    """Insists on a database file, or on a PostgreSQL whose driver is installed."""
    scheme, _, rest = value.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return value
    if scheme not in ("postgres", "postgresql") or not rest:
        raise ValueError("sqlite:///file or postgres://user:password@host/name")
    try:
        urlsplit(value).port  # noqa: B018 -- reading it checks it
    except ValueError:
        raise ValueError("postgres://user:password@host:port/name, with special characters %-encoded") from None
    if find_spec("psycopg") is None:
        raise ValueError(
            "PostgreSQL needs its driver: .venv/bin/pip install --require-hashes -r requirements/postgres.txt"
        )
    return value


def redis_url(value: str) -> str:
    """Insists on the address of a Redis or Valkey."""
    try:
        parts = urlsplit(value)
        fine = bool(parts.path) if parts.scheme == "unix" else bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine or parts.scheme not in ("redis", "rediss", "unix") or re.search(r"\s", value):
        raise ValueError(
            "redis://user:password@host:port/0, rediss:// for TLS, or unix:///path; special characters %-encoded"
        )
    return value


def certificates(value: Path) -> Path:
    """Insists on a file with at least one certificate."""
    path = value.expanduser()
    try:
        ssl.create_default_context(cafile=path)
    except OSError:
        raise ValueError("the path of a PEM file that holds certificates") from None
    return path


def webhook_url(value: str) -> str:
    """Insists on a URL that something can be posted to."""
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fine = False
    if not fine or re.search(r"\s", value):
        raise ValueError("an http:// or https:// URL such as https://hooks.example.org/usage")
    return value


def networks(value: list[str]) -> list[str]:
    """Insists on addresses or networks: a name or `*` would let anyone forge an address."""
    for part in value:
        try:
            ipaddress.ip_network(part)
        except ValueError:
            raise ValueError("addresses or networks such as 10.0.0.5,10.1.0.0/16") from None
    return value


def host_names(value: list[str]) -> list[str]:
    """Insists on host names without scheme, port or path; `*` and a leading dot are wildcards."""
    for part in value:
        name = part.removeprefix(".")
        if part != "*" and not HOST_NAME.fullmatch(name):
            try:
                ipaddress.IPv6Address(part.strip("[]"))
            except ValueError:
                raise ValueError("host names such as gateway.example.org,.example.org, without port") from None
    return value


def aliases(value: list[str]) -> list[str]:
    """Insists on pairs of names."""
    for part in value:
        alias, _, model = part.partition("=")
        if not alias.strip() or not model.strip():
            raise ValueError("pairs such as gpt-4o=mistral,gpt-4o-mini=llama3.2:1b")
    return value


def origins(value: list[str]) -> list[str]:
    """Insists on origins, or on `*` alone."""
    for part in value:
        origin = urlsplit(part)
        whole = f"{origin.scheme}://{origin.netloc}"
        if value != ["*"] and (origin.scheme not in ("http", "https") or not origin.netloc or whole != part):
            raise ValueError("* or origins such as https://chat.example.org, without a path")
    return value


def window_rules(value: list[str]) -> list[str]:
    """Insists on rules for context windows."""
    parse(",".join(value))
    return value


Seconds = Annotated[float, Field(allow_inf_nan=False)]
CommaList = Annotated[list[str], NoDecode, BeforeValidator(split_commas)]
OllamaURL = Annotated[str, AfterValidator(ollama_url)]
BearerToken = Annotated[str, AfterValidator(bearer_token)]
ListenAddress = Annotated[str, AfterValidator(listen_address)]
DatabaseURL = Annotated[str, AfterValidator(database_url)]
RedisURL = Annotated[str, AfterValidator(redis_url)]
PathPrefix = Annotated[str, AfterValidator(path_prefix)]
CertificateFile = Annotated[Path, AfterValidator(certificates)]
Networks = Annotated[CommaList, AfterValidator(networks)]
HostNames = Annotated[CommaList, AfterValidator(host_names)]
Aliases = Annotated[CommaList, AfterValidator(aliases)]
WebhookURL = Annotated[str, AfterValidator(webhook_url)]
WindowRules = Annotated[CommaList, AfterValidator(window_rules)]
Origins = Annotated[CommaList, AfterValidator(origins)]
