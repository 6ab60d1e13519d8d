"""Every setting there is: its name, its type, its default, and its line in docs/settings.md."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.values import (
    Aliases,
    BearerToken,
    CertificateFile,
    CommaList,
    DatabaseURL,
    HostNames,
    ListenAddress,
    Networks,
    OllamaURL,
    Origins,
    PathPrefix,
    RedisURL,
    Seconds,
    WebhookURL,
    WindowRules,
)


class Variables(BaseSettings):
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
    OLLAMA_API_KEY: BearerToken | None = Field(
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
    UPSTREAM_KEEPALIVE: Literal["on", "off"] = Field(
        default="on",
        description="off: use each connection to Ollama for one request, where a proxy before it can't be trusted "
        "to keep answers apart",
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
    BASE_PATH: PathPrefix = Field(
        default="",
        validation_alias=AliasChoices("BASE_PATH", "SCRIPT_NAME"),
        description="Path prefix under which a proxy serves the gateway, such as /ollama; SCRIPT_NAME is read too",
    )
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
    MAX_CONNECTIONS: int = Field(
        default=2000,
        ge=1,
        description="Most connections of clients at once; less where the system allows too few open files",
    )
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
        description="Largest options.num_ctx that a key without the manage scope may ask for, where no rule of "
        "CONTEXT_WINDOW fits; unset means no more than the model is loaded with",
    )
    CONTEXT_WINDOW: WindowRules = Field(
        default=[],
        description="Context windows by model, in tokens, separated by commas: *=8192,qwen3:*=16384..32768,"
        "llama3=32768! for a default, a default and the most, and a forced one",
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
    KEEP_ATTRIBUTION: bool = Field(
        default=False,
        description="Keep the attribution line that Claude Code puts before its system prompt; it changes with every "
        "turn and thereby voids Ollama's prompt cache",
    )
    MAX_BATCH: int = Field(default=2048, ge=1, description="Most inputs of one request for embeddings")
    HEARTBEAT: Seconds = Field(
        default=0,
        ge=0,
        description="Seconds between comments in an event stream while Ollama has not begun to answer; 0 sends none",
    )
    MAX_CALL_SECONDS: Seconds = Field(default=3600, gt=0, description="Longest time that one call may take, in seconds")

    # Limits, and the account of what was used
    MAX_IN_FLIGHT: int = Field(
        default=256, ge=1, description="Most calls that Ollama works on at once; the others wait"
    )
    MAX_WAIT: Seconds = Field(
        default=30, ge=0, description="Seconds that a call may wait for its turn before it is answered 503"
    )
    RESERVE_STEP: int = Field(
        default=256,
        ge=1,
        description="Tokens of output that a call without a small cap reserves at a time, where budgets apply",
    )
    LIMITS: Literal["exact", "per-process"] = Field(
        default="exact",
        description="exact: no second process may use this journal unless both share REDIS_URL; "
        "per-process: each counts for itself",
    )
    REDIS_URL: RedisURL | None = Field(
        default=None,
        description="Redis or Valkey through which several processes share exact limits: "
        "redis://user:password@host:port/0, rediss:// with TLS, or unix:///path; unset means one process",
    )
    REDIS_GRACE: Seconds = Field(
        default=2,
        ge=0,
        description="Seconds that calls of limited keys wait for a Redis that is away before they are answered 503; "
        "a quarter at least",
    )
    JOURNAL_DIR: Path = Field(
        default=Path("journal"), description="Folder of the account's journal, beside manage.py unless absolute"
    )
    DEFAULT_REQUESTS_PER_MINUTE: int | None = Field(
        default=None, ge=1, description="Most requests of a key in any 60 seconds; unset means no limit"
    )
    DEFAULT_TOKENS_PER_MINUTE: int | None = Field(
        default=None, ge=1, description="Most tokens of a key a minute, a sixth of them at once; unset means no limit"
    )
    DEFAULT_CONCURRENCY: int | None = Field(
        default=None, ge=1, description="Most calls of a key at once; unset means no limit"
    )
    DEFAULT_TOKENS_PER_DAY: int | None = Field(
        default=None, ge=1, description="Most tokens of a key in a day; unset means no limit"
    )
    DEFAULT_TOKENS_PER_MONTH: int | None = Field(
        default=None, ge=1, description="Most tokens of a key in a month; unset means no limit"
    )
    DEFAULT_TOKENS_TOTAL: int | None = Field(
        default=None, ge=1, description="Most tokens of a key for good; unset means no limit"
    )
    DEFAULT_OUTPUT_TOKENS: int | None = Field(
        default=None, ge=1, description="Most tokens of one answer to a key; unset means no limit"
    )

    # What it keeps of calls
    JOURNAL_MAX_BYTES: int = Field(default=2**30, ge=65536, description="Largest size of the journal, in bytes")
    JOURNAL_FULL: Literal["refuse", "count"] = Field(
        default="refuse",
        description="A full journal: refuse new calls, or serve them and count them in the metrics only",
    )
    RECORD_ADDRESSES: Literal["off", "truncated", "full"] = Field(
        default="off",
        description="What a call's record keeps of its client's address: off, truncated (to its network) or full",
    )
    RECORD_DAYS: int = Field(default=90, ge=1, description="Days that a call's record is kept; sums stay for good")
    METRICS_ADDRESSES: Networks = Field(
        default=[], description="Addresses or networks that read /metrics without a key"
    )
    ALERT_WEBHOOK: WebhookURL | None = Field(
        default=None, description="Webhook called when a budget reaches 80 % and 100 %"
    )
    ALERT_SECRET: str = Field(default="", description="Key of the HMAC-SHA-256 that signs what that URL gets")

    # What it says
    LOG_ADDRESSES: bool = Field(default=False, description="Write the client's address into the log line of a request")
