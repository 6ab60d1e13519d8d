"""Every setting of the gateway, read from the environment or `.env`, checked once at start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from gateway.complaints import SettingError, explain
from gateway.secretfiles import SecretFiles
from gateway.values import (
    Aliases,
    CertificateFile,
    CommaList,
    DatabaseURL,
    HostNames,
    ListenAddress,
    Networks,
    OllamaURL,
    Origins,
    Seconds,
)

__all__ = ["BASE_DIR", "Env", "SettingError"]

BASE_DIR = Path(__file__).resolve().parent.parent
DEFAULT_OLLAMA_URL = "http://localhost:11434"
GENERATED = ("SECRET_KEY", "KEY_PEPPER")


class Env(BaseSettings):
    """The settings as they were given; a field's description is its line in docs/settings.md."""

    model_config = SettingsConfigDict(
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        case_sensitive=True,
        str_strip_whitespace=True,
        frozen=True,
    )

    # The Ollama behind the gateway
    OLLAMA_URL: OllamaURL | None = Field(
        default=None,
        description="Address of your Ollama, an http:// or https:// URL; unset means http://localhost:11434, "
        "or the demo engine when nothing answers there",
    )
    OLLAMA_API_KEY: str | None = Field(
        default=None, description="Bearer token that a hosted Ollama asks of the gateway"
    )
    OLLAMA_CA: CertificateFile | None = Field(
        default=None, description="PEM file of the authority that signed Ollama's certificate"
    )
    OLLAMA_MODEL: str = Field(default="mistral", min_length=1, description="Model used when a request names none")
    UPSTREAM_CONNECT_TIMEOUT: Seconds = Field(default=5, gt=0, description="Seconds to wait for a connection to Ollama")
    UPSTREAM_FIRST_BYTE_TIMEOUT: Seconds = Field(
        default=600, gt=0, description="Seconds to wait for an answer's first byte; loading a model counts"
    )
    UPSTREAM_IDLE_TIMEOUT: Seconds = Field(
        default=300, gt=0, description="Seconds that Ollama may be silent within an answer"
    )
    ENGINE: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="The demo engine: auto starts it in development when no Ollama is there, on allows it in "
        "production too, off forbids it",
    )
    ENGINE_CACHE: Path = Field(
        default=Path("~/.cache/ollama-gateway"), description="Folder that keeps the demo engine's model (93 MB)"
    )

    # Where it listens
    HOST: ListenAddress = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all")
    PORT: int = Field(default=8100, ge=0, le=65535, description="Port to listen on; 0 for any free one")
    APP_ENV: Literal["development", "production"] = Field(
        default="development",
        validation_alias=AliasChoices("APP_ENV", "NODE_ENV"),
        description="development or production; NODE_ENV is read too",
    )
    DEBUG: bool = Field(
        default=False, description="Django's debug pages; they show prompts, so never where others can look"
    )
    ALLOWED_HOSTS: HostNames = Field(
        default=["localhost", "127.0.0.1", "[::1]"],
        description="Host names that clients may use, separated by commas; * for any",
    )
    CORS_ALLOWED_ORIGINS: Origins = Field(
        default=["*"],
        description="Web origins that may call the API from a browser, separated by commas; * for any",
    )
    TLS: bool | None = Field(
        default=None,
        description="Secure cookies and HSTS; unset means on in production. Off only on a plain-HTTP network",
    )
    TRUSTED_PROXIES: Networks = Field(
        default=[], description="Addresses or networks of the proxies whose X-Forwarded-* headers are believed"
    )
    SHUTDOWN_GRACE: Seconds = Field(default=30, ge=0, description="Seconds that open streams get to end after SIGTERM")

    # What it keeps
    DATABASE_URL: DatabaseURL = Field(
        default="sqlite:///db.sqlite3",
        description="Where keys live: sqlite:///file, beside manage.py unless absolute (sqlite:////path/file), "
        "or postgres://user:password@host/name",
    )
    SECRET_KEY: str = Field(default="", description="Signs the admin's sessions; made at the first start")
    KEY_PEPPER: str = Field(
        default="",
        description="Mixed into every key's digest; made at the first start. Lose it and all keys are lost",
    )
    KEY_PEPPER_FALLBACKS: CommaList = Field(
        default=[],
        description="Former values of KEY_PEPPER that still verify, separated by commas; a key moves to the present "
        "one when it is used",
    )
    OUTAGE_GRACE: Seconds = Field(
        default=900, ge=0, description="Seconds that known keys go on working while the database is away"
    )

    # What a client may send
    MAX_BODY_BYTES: int = Field(default=32 * 2**20, ge=1024, description="Largest request body, in bytes")
    MAX_BUFFERED_BYTES: int = Field(
        default=256 * 2**20,
        ge=1024,
        description="Largest sum of the request bodies held in memory at once, in bytes",
    )
    MAX_HEADER_BYTES: int = Field(default=64 * 2**10, ge=1024, description="Largest request head, in bytes")
    CLIENT_TIMEOUT: Seconds = Field(
        default=30, gt=0, description="Seconds that a client may pause while it sends its request"
    )

    INVALID_KEYS_PER_MINUTE: int = Field(
        default=30,
        ge=1,
        description="Keys that are not valid that one address may send in a minute before it has to wait",
    )

    # What a key may ask of Ollama
    MODEL_ALIASES: Aliases = Field(
        default=[],
        description="Other names for models, for clients with hard-wired ones, as pairs: gpt-4o=mistral",
    )
    ALLOW_CLOUD: bool = Field(
        default=False,
        description="Let requests reach Ollama's cloud: cloud models, and the web search that some tools ask for",
    )
    MAX_NUM_CTX: int | None = Field(
        default=None,
        ge=1,
        description="Largest options.num_ctx that a key without the manage scope may ask for; unset drops it",
    )
    MAX_KEEP_ALIVE: Seconds | None = Field(
        default=None,
        ge=0,
        description="Longest keep_alive, in seconds, that a key without the manage scope may ask for; unset drops it",
    )
    MAX_OUTPUT_TOKENS: int | None = Field(
        default=None,
        ge=1,
        description="Most tokens of one answer for a key without the manage scope; unset means no cap",
    )
    CLIENT_OPTIONS: CommaList = Field(
        default=[],
        description="Options that such keys may set although they reload the model for all, separated by commas",
    )
    MAX_BATCH: int = Field(default=2048, ge=1, description="Most inputs of one request for embeddings")
    HEARTBEAT: Seconds = Field(
        default=0,
        ge=0,
        description="Seconds between comments in an event stream while Ollama has not begun to answer; 0 sends none",
    )
    MAX_CALL_SECONDS: Seconds = Field(default=3600, gt=0, description="Longest time that one call may take, in seconds")

    # What it says
    LOG_ADDRESSES: bool = Field(default=False, description="Write the client's address into the log line of a request")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- not used: a folder with a file a setting
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads NAME_FILE where a secret's NAME is given nowhere."""
        return init_settings, env_settings, dotenv_settings, SecretFiles(settings_cls, env_settings, dotenv_settings)

    @property
    def aliases(self) -> dict[str, str]:
        """Returns the model of each alias, aliases in lower case."""
        pairs = (part.partition("=") for part in self.MODEL_ALIASES)
        return {alias.strip().lower(): model.strip() for alias, _, model in pairs}

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


def read() -> Env:
    """Reads and checks all settings.

    Raises SettingError with one line that names the variable, the value and what is allowed.
    """
    try:
        return Env(_env_file=env_file())
    except ValidationError as error:
        raise SettingError(explain(error)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{env_file()} can't be read: {error}") from None


def load() -> Env:
    """Reads and checks all settings, and insists on the secrets; raises SettingError."""
    env = read()
    for name in GENERATED:
        if not getattr(env, name):
            raise SettingError(f"{name} is not set: any command of manage.py writes one into {env_file()}")
    return env
