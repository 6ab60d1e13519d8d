"""Every setting of the gateway, read from the environment or `.env`, checked once at start."""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
DEFAULT_OLLAMA_URL = "http://localhost:11434"
SECRET_NAMES = ("SECRET_KEY", "KEY_PEPPER", "OLLAMA_API_KEY", "DATABASE_URL")

CommaList = Annotated[list[str], NoDecode]


class SettingError(Exception):
    """A setting has a value that the gateway can't run with; its text is one line for people."""


class Env(BaseSettings):
    """The settings as they were given; a field's description is its line in docs/settings.md."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", case_sensitive=True
    )

    # The Ollama behind the gateway
    OLLAMA_URL: str | None = Field(
        None,
        description="Address of your Ollama, an http:// or https:// URL; unset means "
        "http://localhost:11434, or the demo engine when nothing answers there",
    )
    OLLAMA_API_KEY: str | None = Field(None, description="Bearer token that a hosted Ollama asks of the gateway")
    OLLAMA_CA: Path | None = Field(None, description="PEM file of the authority that signed Ollama's certificate")
    OLLAMA_MODEL: str = Field("mistral", description="Model used when a request names none")
    UPSTREAM_CONNECT_TIMEOUT: float = Field(5, gt=0, description="Seconds to wait for a connection to Ollama")
    UPSTREAM_FIRST_BYTE_TIMEOUT: float = Field(
        600, gt=0, description="Seconds to wait for an answer's first byte; loading a model counts"
    )
    UPSTREAM_IDLE_TIMEOUT: float = Field(300, gt=0, description="Seconds that Ollama may be silent within an answer")
    ENGINE: Literal["auto", "on", "off"] = Field(
        "auto",
        description="The demo engine: auto starts it in development when no Ollama is there, on allows it in "
        "production too, off forbids it",
    )
    ENGINE_CACHE: Path = Field(
        Path("~/.cache/ollama-gateway"), description="Folder that keeps the demo engine's model (93 MB)"
    )

    # Where it listens
    HOST: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 for all")
    PORT: int = Field(8100, ge=0, le=65535, description="Port to listen on")
    APP_ENV: Literal["development", "production"] = Field(
        "development",
        validation_alias=AliasChoices("APP_ENV", "NODE_ENV"),
        description="development or production; NODE_ENV is read too",
    )
    DEBUG: bool = Field(False, description="Django's debug pages; they show prompts, so never where others can look")
    ALLOWED_HOSTS: CommaList = Field(
        ["localhost", "127.0.0.1", "[::1]"], description="Host names that clients may use, separated by commas"
    )
    CORS_ALLOWED_ORIGINS: CommaList = Field(
        ["*"], description="Web origins that may call the API from a browser, separated by commas; * for any"
    )
    TLS: bool | None = Field(
        None, description="Secure cookies and HSTS; unset means on in production. Off only on a plain-HTTP network"
    )
    TRUSTED_PROXIES: CommaList = Field(
        [], description="Addresses or networks of the proxies whose X-Forwarded-* headers are believed"
    )
    SHUTDOWN_GRACE: float = Field(30, ge=0, description="Seconds that open streams get to end after SIGTERM")

    # What it keeps
    DATABASE_URL: str = Field(
        f"sqlite:///{BASE_DIR / 'db.sqlite3'}", description="Where keys live: sqlite:///path or postgres://…"
    )
    SECRET_KEY: str = Field("", description="Signs the admin's sessions; made at the first start")
    KEY_PEPPER: str = Field(
        "", description="Mixed into every key's digest; made at the first start. Lose it and all keys are lost"
    )

    # Limits on what a client may send
    MAX_BODY_BYTES: int = Field(32 * 2**20, ge=1024, description="Largest request body, in bytes")
    MAX_BUFFERED_BYTES: int = Field(
        256 * 2**20, ge=1024, description="Largest sum of the request bodies held in memory at once, in bytes"
    )
    MAX_HEADER_BYTES: int = Field(64 * 2**10, ge=1024, description="Largest request head, in bytes")
    CLIENT_TIMEOUT: float = Field(30, gt=0, description="Seconds that a client may pause while it sends its request")

    # What it says
    LOG_ADDRESSES: bool = Field(False, description="Write the client's address into the log line of a request")

    @field_validator("ALLOWED_HOSTS", "CORS_ALLOWED_ORIGINS", "TRUSTED_PROXIES", mode="before")
    @classmethod
    def split_commas(cls, value: object) -> object:
        """Splits a comma-separated value into its parts."""
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("OLLAMA_URL")
    @classmethod
    def plain_base_url(cls, value: str | None) -> str | None:
        """Reduces the URL to its base: scheme, host and path prefix."""
        if value is None:
            return None
        try:
            parts = urlsplit(value.strip())
            port_is_valid = parts.port is None or parts.port > 0
        except ValueError:
            raise ValueError("an http:// or https:// URL") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_valid:
            raise ValueError("an http:// or https:// URL such as http://localhost:11434")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise ValueError("a URL without user name, query or fragment; a credential goes into OLLAMA_API_KEY")
        path = parts.path.rstrip("/").removesuffix("/api/generate").rstrip("/")
        return f"{parts.scheme}://{parts.netloc}{path}"

    @field_validator("OLLAMA_CA")
    @classmethod
    def existing_file(cls, value: Path | None) -> Path | None:
        """Insists on a file that can be read."""
        if value is not None and not value.is_file():
            raise ValueError("the path of a PEM file")
        return value

    @field_validator("TRUSTED_PROXIES")
    @classmethod
    def networks(cls, value: list[str]) -> list[str]:
        """Insists on addresses or networks: a name or `*` would let anyone forge an address."""
        for part in value:
            try:
                ipaddress.ip_network(part)
            except ValueError:
                raise ValueError("addresses or networks such as 10.0.0.5,10.1.0.0/16") from None
        return value

    @field_validator("CORS_ALLOWED_ORIGINS")
    @classmethod
    def origins(cls, value: list[str]) -> list[str]:
        """Insists on origins, or `*` alone."""
        for part in value:
            if part == "*" and len(value) == 1:
                continue
            origin = urlsplit(part)
            if origin.scheme not in ("http", "https") or not origin.netloc or origin.path:
                raise ValueError("* or origins such as https://chat.example.org")
        return value

    @property
    def production(self) -> bool:
        """Tells whether this is a production server."""
        return self.APP_ENV == "production"

    @property
    def tls(self) -> bool:
        """Tells whether clients reach the gateway over TLS only."""
        return self.production if self.TLS is None else self.TLS


def env_file() -> Path:
    """Returns the path of the `.env` file; GATEWAY_ENV_FILE names another one."""
    return Path(os.environ.get("GATEWAY_ENV_FILE") or BASE_DIR / ".env")


def load() -> Env:
    """Reads and checks all settings.

    Raises SettingError with one line that names the variable, the value and what is allowed.
    """
    try:
        env = Env(_env_file=env_file())
    except ValidationError as error:
        raise SettingError(explain(error)) from None
    for name in ("SECRET_KEY", "KEY_PEPPER"):
        if not getattr(env, name):
            raise SettingError(
                f"{name} is not set: put one into {env_file()}, or run `manage.py serve`, which makes one"
            )
    return env


def explain(error: ValidationError) -> str:
    """Turns the first complaint into one line for people, without showing a secret."""
    first: Any = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "setting"
    field = Env.model_fields.get(name)
    allowed = first["msg"].removeprefix("Value error, ")
    shown = "(hidden)" if name in SECRET_NAMES else repr(first["input"])
    about = f" ({field.description})" if field and field.description else ""
    return f"{name}={shown} is not allowed: {allowed}{about}"


def ensure_secrets() -> None:
    """Writes SECRET_KEY and KEY_PEPPER into `.env` (mode 0600) when neither it nor the environment has them."""
    try:
        env = Env(_env_file=env_file())
    except ValidationError as error:
        raise SettingError(explain(error)) from None
    missing = [name for name in ("SECRET_KEY", "KEY_PEPPER") if not getattr(env, name)]
    if not missing:
        return
    path = env_file()
    lines = "".join(f"{name}={secrets.token_urlsafe(48)}\n" for name in missing)
    try:
        fresh = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            if not fresh:
                os.fchmod(file.fileno(), 0o600)
                lines = "\n" + lines
            file.write(lines)
    except OSError as error:
        raise SettingError(
            f"{' and '.join(missing)} not set and {path} can't be written ({error.strerror}): set them in the environment"
        ) from None
