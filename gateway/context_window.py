"""Rules for context windows, as settings and keys have them: which `num_ctx` a request gets, by model.

    *=8192, qwen3:*=16384..32768, llama3=32768!

A rule is a pattern of models, and what requests for them get, in tokens:

    8192            the default; it is the most, too
    16384..32768    the default, and the most that a request may ask for
    16384..         the default; a request may ask for any
    ..32768         no default; the most that a request may ask for
    32768!          forced: every request gets it, whatever it asks for
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

MAX_RULES = 100
LARGEST = 2**31 - 1  # Ollama's own type is wider, its runner's is not
RULE = re.compile(
    r"(?P<pattern>[A-Za-z0-9_.:/*-]{1,350})=(?P<default>\d{1,10})?(?:(?P<range>\.\.)(?P<most>\d{1,10})?|(?P<forced>!))?"
)
SHAPE = "rules such as *=8192,qwen3:*=16384..32768,llama3=32768!"


@dataclass(frozen=True, slots=True)
class WindowRule:
    """What requests for some models get, in tokens; None for nothing in particular."""

    pattern: str
    default: int | None = None
    most: int | None = None
    forced: bool = False

    def __str__(self) -> str:
        """Writes it as it is read."""
        default = "" if self.default is None else str(self.default)
        if self.forced:
            return f"{self.pattern}={default}!"
        if self.default is not None and self.most == self.default:
            return f"{self.pattern}={default}"
        return f"{self.pattern}={default}..{'' if self.most is None else self.most}"

    @property
    def weight(self) -> tuple[bool, int]:
        """How closely its pattern names models; of several rules that fit, the heaviest counts."""
        return "*" not in self.pattern, len(self.pattern.replace("*", ""))

    def grant(self, asked: int | None) -> int | None:
        """Returns the window of a request that asks for one, or for none; None leaves it to Ollama."""
        if self.forced or asked is None:
            return self.default
        return asked if self.most is None else min(asked, self.most)

    def covers(self, other: WindowRule) -> bool:
        """Tells whether another rule gives no larger window than this one."""
        mine, theirs = self.ceiling, other.ceiling
        return mine is None or (theirs is not None and theirs <= mine)

    @property
    def ceiling(self) -> int | None:
        """The most that a request can get, None for any."""
        return self.default if self.forced else self.most


@lru_cache(maxsize=1024)
def parse(text: str) -> tuple[WindowRule, ...]:
    """Reads rules, separated by commas or space; equal texts share one tuple.  Raises ValueError with what is wrong."""
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    if len(parts) > MAX_RULES:
        raise ValueError(f"at most {MAX_RULES} rules, with * for what models share")
    rules = [parse_rule(part) for part in parts]
    patterns = [rule.pattern.lower() for rule in rules]
    for pattern in patterns:
        if patterns.count(pattern) > 1:
            raise ValueError(f"one rule for each pattern; {pattern} has {patterns.count(pattern)}")
    return tuple(sorted(rules, key=lambda rule: rule.weight, reverse=True))


def parse_rule(text: str) -> WindowRule:
    """Reads one rule; raises ValueError."""
    found = RULE.fullmatch(text)
    if found is None or not (found["default"] or found["most"]):
        raise ValueError(f"{SHAPE}; {text[:80]!r} is none")
    default, most = (int(found[name]) if found[name] else None for name in ("default", "most"))
    for number in (default, most):
        if number is not None and not 1 <= number <= LARGEST:
            raise ValueError(f"windows of 1 to {LARGEST} tokens; {text[:80]!r} has another")
    if default is not None and most is not None and default > most:
        raise ValueError(f"a default that is at most the largest window; in {text[:80]!r} it is more")
    if not found["range"] and not found["forced"]:
        most = default
    return WindowRule(found["pattern"], default, most, bool(found["forced"]))


def written(text: str) -> str:
    """Returns rules as they are stored; raises ValueError."""
    parse(text)
    return ",".join(part for part in re.split(r"[,\s]+", text) if part)
