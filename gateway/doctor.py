"""What `manage.py doctor` looks at: each examination yields findings, each finding says what to do."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import WARNING, run_checks
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from dotenv import dotenv_values

from apikeys.lists import parts
from apikeys.models import Key
from apikeys.pepper import LOST_PEPPER, pepper_counts
from apikeys.unattended import wide
from engine.model import DEMO, SMOLLM2
from engine.wanted import wanted
from gateway.checks import is_weak
from gateway.database import folder
from gateway.env import DEFAULT_OLLAMA_URL, GENERATED, Env, env_file
from gateway.firstrun import FILE_NAME
from gateway.probe import look

PRIVATE = 0o077


class Finding(NamedTuple):
    """One line of the doctor: how bad, about what, and what to do."""

    level: Literal["ok", "warn", "fail"]
    subject: str
    text: str


def examine() -> Iterator[Finding]:
    """Looks at everything, in the order in which things are needed."""
    env: Env = settings.ENV
    yield from environment(env)
    yield from secrets(env)
    yield from combinations(env)
    yield from database()
    yield from shared_limits(env)
    yield from folders(env)
    yield from left_over()
    yield from admin_over_http(env)
    yield from upstream(env)


def environment(env: Env) -> Iterator[Finding]:
    """Looks at `.env`; wrong values have stopped the command before."""
    path = env_file()
    yield Finding("ok", "settings", f"{env.APP_ENV} mode, read from the environment and {path}")
    if not path.is_file():
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & PRIVATE:
        yield Finding("fail", "settings", f"others can read the secrets in {path} (mode {mode:o}): chmod 600 {path}")
    known = {*Env.model_fields, "NODE_ENV"}
    for name in dotenv_values(path):
        if name not in known:
            guess = get_close_matches(name, known, 1)
            advice = f"did you mean {guess[0]}?" if guess else "remove it, or see docs/settings.md for the names"
            yield Finding("warn", "settings", f"{name} in {path} is no setting of the gateway: {advice}")


def secrets(env: Env) -> Iterator[Finding]:
    """Looks at the strength of the generated secrets."""
    weak = [name for name in GENERATED if is_weak(getattr(env, name))]
    for name in weak:
        yield Finding(
            "fail" if env.production else "warn",
            "secrets",
            f"{name} is easy to guess: use at least 32 random characters (a changed KEY_PEPPER ends all keys)",
        )
    if not weak:
        yield Finding("ok", "secrets", "SECRET_KEY and KEY_PEPPER are long and random")


def combinations(env: Env) -> Iterator[Finding]:
    """Runs the start-up checks: HOST, ALLOWED_HOSTS, TLS and what else must fit together."""
    messages = [
        message for message in run_checks(include_deployment_checks=env.production) if not message.is_silenced()
    ]
    for message in messages:
        level: Literal["warn", "fail"] = "fail" if message.level > WARNING else "warn"
        yield Finding(level, str(message.id), " ".join(f"{message.msg} {message.hint or ''}".split()))
    if not messages:
        tls = "on" if env.tls else "off"
        yield Finding("ok", "network", f"listens on {env.HOST} port {env.PORT}, TLS is {tls}, nothing contradicts it")
    if env.tls and not env.TRUSTED_PROXIES:
        yield Finding(
            "warn",
            "TLS",
            "no proxy is trusted: clients' addresses and https are not known. Put the address of the proxy that "
            "speaks TLS into TRUSTED_PROXIES",
        )


def database() -> Iterator[Finding]:
    """Looks at the database and at what must be in it."""
    name = settings.DATABASES["default"]["NAME"]
    if connection.vendor == "sqlite" and not Path(name).exists():
        yield Finding("warn", "database", f"{name} is not there yet: `scripts/serve` makes it, an admin and a key")
        return
    try:
        executor = MigrationExecutor(connection)
        left = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
        if left:
            yield Finding("fail", "database", f"{left} migrations are missing: `manage.py migrate`, or restart `serve`")
            return
        yield Finding("ok", "database", f"{connection.vendor} at {name}, all migrations applied; driver {driver()}")
        yield from people_and_keys()
    except DatabaseError as error:
        text = " ".join(str(error).split())
        yield Finding("fail", "database", f"it can't be used ({text}): see DATABASE_URL and docs/settings.md")


def driver() -> str:
    """Returns the database's driver, with its version and that of what it speaks to."""
    wrapper: Any = connections["default"]
    database_module = wrapper.Database
    if connection.vendor == "sqlite":
        return f"sqlite3 with SQLite {'.'.join(map(str, database_module.sqlite_version_info))}"
    version = getattr(database_module, "__version__", "of unknown version")
    server = ".".join(map(str, connection.get_database_version()))
    return f"{database_module.__name__} {version} with {connection.display_name} {server}"


def people_and_keys() -> Iterator[Finding]:
    """Looks for somebody who can log in, and for keys that open."""
    if get_user_model().objects.filter(is_active=True, is_superuser=True).exists():
        yield Finding("ok", "admin", "somebody can log in")
    else:
        yield Finding("warn", "admin", "nobody can log in to the admin: `manage.py createsuperuser`")
    usable = Key.objects.usable().count()
    if usable:
        yield from peppers(usable)
        yield from unattended_keys()
    else:
        yield Finding("warn", "keys", "no usable key, so every request is refused: `manage.py createapikey LABEL`")


def unattended_keys() -> Iterator[Finding]:
    """Looks for keys that anybody may use without having them."""
    for key in Key.objects.usable().exclude(keyless_networks=""):
        open_to = wide(parts(key.keyless_networks))
        if open_to:
            yield Finding(
                "warn",
                "keys",
                f"requests without a key from {', '.join(open_to)} act as {key}, and anybody may be in there: name "
                f"smaller networks with `manage.py changeapikey {key.key_id} --keyless-networks LIST`",
            )


def peppers(usable: int) -> Iterator[Finding]:
    """Tells with which peppers the usable keys were stored."""
    counts = pepper_counts()
    if counts.unknown == usable:
        yield Finding("fail", "keys", LOST_PEPPER)
        return
    told = [f"{counts.present} stored with KEY_PEPPER"]
    told += [f"{count} with fallback {place}" for place, count in enumerate(counts.fallbacks, 1)]
    more = f": {', '.join(told)}" if counts.fallbacks or counts.unknown else ""
    yield Finding("ok", "keys", f"{usable} in use{more}")
    if counts.unknown:
        yield Finding(
            "fail",
            "keys",
            f"{counts.unknown} of {usable} were stored with a pepper that is not known here, and do not verify: put "
            "the old one into KEY_PEPPER_FALLBACKS, or give them new secrets with `manage.py rotateapikey`",
        )
    for place, count in enumerate(counts.fallbacks, 1):
        advice = (
            f"{count} keys still need fallback {place} of KEY_PEPPER_FALLBACKS: each moves at its next use"
            if count
            else f"no key needs fallback {place} of KEY_PEPPER_FALLBACKS any more: it can be removed, but keep it with "
            "your backups, since it verifies older entries of the audit trail"
        )
        yield Finding("ok", "peppers", advice)


def folders(env: Env) -> Iterator[Finding]:
    """Looks at the folders that are written to."""
    named = [("JOURNAL_DIR", env.journal_dir)]
    if env.ENGINE != "off":
        named.append(("ENGINE_CACHE", env.ENGINE_CACHE.expanduser()))
    for name, place in named:
        existing = next((parent for parent in (place, *place.parents) if parent.exists()), place)
        if place.exists() and not place.is_dir():
            yield Finding("fail", "folders", f"{name}={place} is no folder: name another one")
        elif not os.access(existing, os.W_OK | os.X_OK):
            yield Finding("fail", "folders", f"{name}={place} can't be written: change its owner, or name another")
        elif not place.exists() and name == "JOURNAL_DIR":
            yield Finding("ok", "folders", f"{name}={place} is not there yet: `serve` makes it")


def left_over() -> Iterator[Finding]:
    """Looks for the first run's password and key, which lie in a file until somebody deletes it."""
    path = folder() / FILE_NAME
    if path.exists():
        yield Finding("warn", "first-run", f"{path} has the first password and key: note them, and delete it")


def admin_over_http(env: Env) -> Iterator[Finding]:
    """Says why the admin's forms would be refused: cookies and origins that don't fit to how browsers come."""
    if env.tls:
        yield Finding(
            "ok",
            "login",
            "the admin's cookies need https: over plain http its forms are refused as forged (CSRF). The proxy must "
            "pass Host with its port and X-Forwarded-Proto",
        )


def shared_limits(env: Env) -> Iterator[Finding]:
    """Asks the Redis that shares limits, if one does, who it is and whether it forgets."""
    if not env.REDIS_URL:
        return
    from usage.shared.look import examine as ask

    found = ask(env.REDIS_URL, max(env.REDIS_GRACE, 1))
    if found.problem:
        yield Finding("fail", "Redis", f"it can't be used ({found.problem}): start it, or correct REDIS_URL")
        return
    yield Finding("ok", "Redis", f"version {found.version}, shares the limits of all processes")
    if found.forgets:
        yield Finding(
            "warn",
            "Redis",
            f"maxmemory-policy is {found.policy}, so it may drop what was counted: set it to noeviction",
        )


def upstream(env: Env) -> Iterator[Finding]:
    """Asks the Ollama for its version and for the default model."""
    url = settings.OLLAMA_URL
    found = look(url, token=env.OLLAMA_API_KEY, authority=env.OLLAMA_CA, seconds=env.UPSTREAM_CONNECT_TIMEOUT)
    if found.problem:
        yield from stand_in(env, f"{url} can't be used ({found.problem}): start Ollama there, or set OLLAMA_URL")
        return
    yield Finding("ok", "Ollama", f"version {found.version} at {url}, {len(found.models)} models")
    if found.has(settings.OLLAMA_MODEL):
        yield Finding("ok", "model", f"{settings.OLLAMA_MODEL}, the default, is there")
    else:
        there = ", ".join(found.models[:5]) or "none"
        yield Finding(
            "fail",
            "model",
            f"{settings.OLLAMA_MODEL}, the default, is not there: `ollama pull {settings.OLLAMA_MODEL}`, or set "
            f"OLLAMA_MODEL to one that is ({there})",
        )


def stand_in(env: Env, problem: str) -> Iterator[Finding]:
    """Tells whether the demo engine takes the place of an Ollama that can't be used."""
    decision = wanted(
        ollama_url=env.OLLAMA_URL,
        engine=env.ENGINE,
        production=env.production,
        default_url=DEFAULT_OLLAMA_URL,
        answers=False,
    )
    if not decision.start:
        yield Finding("fail", "Ollama", problem)
        return
    file = env.ENGINE_CACHE.expanduser() / SMOLLM2.file_name
    state = "it is in" if file.exists() else "it will be fetched into"
    yield Finding("warn", "Ollama", problem)
    yield Finding("ok", "engine", f"until then `serve` starts {DEMO}; {state} {file.parent}")
