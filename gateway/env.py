"""The settings of the gateway, read from the environment or `.env`, checked once at start."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from gateway.complaints import SettingError, explain
from gateway.context_window import WindowRule, parse
from gateway.secretfiles import SecretFiles
from gateway.variables import Variables

__all__ = ["BASE_DIR", "Env", "SettingError"]

BASE_DIR = Path(__file__).resolve().parent.parent
DEFAULT_OLLAMA_URL = "http://localhost:11434"
GENERATED = ("SECRET_KEY", "KEY_PEPPER")


class Env(Variables):
    """The settings, and what follows from them."""

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
    def journal_dir(self) -> Path:
        """Returns the journal's folder."""
        return BASE_DIR / self.JOURNAL_DIR.expanduser()

    @property
    def default_allowances(self) -> dict[str, int]:
        """Returns the limits of keys that have none of their own, by dimension."""
        dimensions = (name.removeprefix("DEFAULT_") for name in type(self).model_fields if name.startswith("DEFAULT_"))
        amounts = ((name.lower(), getattr(self, f"DEFAULT_{name}")) for name in dimensions)
        return {name: amount for name, amount in amounts if amount is not None}

    @property
    def aliases(self) -> dict[str, str]:
        """Returns the model of each alias, aliases in lower case."""
        pairs = (part.partition("=") for part in self.MODEL_ALIASES)
        return {alias.strip().lower(): model.strip() for alias, _, model in pairs}

    @property
    def window_rules(self) -> tuple[tuple[WindowRule, ...], ...]:
        """Returns the rules for context windows: those of CONTEXT_WINDOW come before MAX_NUM_CTX."""
        most = () if self.MAX_NUM_CTX is None else (WindowRule("*", most=self.MAX_NUM_CTX),)
        return tuple(rules for rules in (parse(",".join(self.CONTEXT_WINDOW)), most) if rules)

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
