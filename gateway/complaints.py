"""What is wrong with a setting, in one line for people."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

# Secrets: never shown, and read from files too.
HIDDEN = frozenset(
    {
        "SECRET_KEY",
        "KEY_PEPPER",
        "KEY_PEPPER_FALLBACKS",
        "OLLAMA_API_KEY",
        "DATABASE_URL",
        "REDIS_URL",
        "ALERT_WEBHOOK",
        "ALERT_SECRET",
    }
)
LONGEST_SHOWN_VALUE = 80
# Settings that are read under another name too.
OTHER_NAMES = {"APP_ENV": "NODE_ENV", "BASE_PATH": "SCRIPT_NAME"}


class SettingError(Exception):
    """A setting has a value that the gateway can't run with; its text is one line for people."""


def explain(error: ValidationError) -> str:
    """Turns the first complaint into one line for people, without showing a secret."""
    first: Any = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    value = str(first["input"])
    secret = name in HIDDEN or (name == "OLLAMA_URL" and ("@" in value or "?" in value))
    shown = "(hidden)" if secret else repr(value[:LONGEST_SHOWN_VALUE])
    also = f" (or {OTHER_NAMES[name]})" if name in OTHER_NAMES else ""
    return f"{name}{also}={shown} is not allowed; allowed is {allowed(first)} (see docs/settings.md)"


def allowed(complaint: Any) -> str:
    """Says what may stand instead, from one of pydantic's complaints."""
    match complaint["type"]:
        case "bool_parsing" | "bool_type":
            return "true or false"
        case "int_parsing" | "int_from_float":
            return "a whole number"
        case "float_parsing" | "finite_number":
            return "a number"
        case "literal_error":
            return str(complaint["ctx"]["expected"]).replace("'", "")
        case "less_than_equal":
            return f"at most {complaint['ctx']['le']:g}"
        case "greater_than_equal":
            return f"at least {complaint['ctx']['ge']:g}"
        case "greater_than":
            return f"more than {complaint['ctx']['gt']:g}"
        case "string_too_short":
            return "some text"
        case "value_error":
            return str(complaint["ctx"]["error"])
        case _:
            return str(complaint["msg"])
