"""Which text people may give keys, teams and notes: every script and emoji, but nothing that deceives a reader."""

from __future__ import annotations

import re
import unicodedata

# Control characters (which steer terminals and forge log lines), line separators, halves of surrogate pairs (which no
# database holds), and the overrides, embeddings and isolates that show text in another order than it has
# (Unicode Standard Annex #9).  Joiners, variation selectors, tags and direction marks belong to scripts and emoji.
_FORBIDDEN = "\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\u202a-\u202e\u2066-\u2069"
_forbidden_in_line = re.compile(f"[{_FORBIDDEN}]").search
_forbidden_in_lines = re.compile(f"(?![\t\n\r])[{_FORBIDDEN}]").search
NOT_A_TEAM_NAME = (
    "A team's name is one line of visible characters, without control characters or bidirectional overrides."
)
# Letters and symbols that leave no mark: Hangul fillers and the empty Braille cell.
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800")
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# Variation selectors are marks, and show nothing by themselves.
_is_selector = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]").match


def is_line(text: str) -> bool:
    """Tells whether the text is one line without control characters and without characters that reorder it."""
    return _forbidden_in_line(text) is None


def is_text(text: str) -> bool:
    """Tells the same of a text that may have several lines."""
    return _forbidden_in_lines(text) is None


def is_visible(text: str) -> bool:
    """Tells whether any character of the text can be seen."""
    # Unassigned characters may be newer than Python's tables; private ones have their fonts.
    return any(
        unicodedata.category(character) not in _UNSEEN and character not in _BLANK and not _is_selector(character)
        for character in text
    )


def is_team_name(text: str) -> bool:
    """Tells whether the text can be a team's name; the empty one is."""
    return is_line(text) and (not text or is_visible(text))


def without_forbidden(text: str) -> str:
    """Returns a line without the characters that none may have."""
    return re.sub(f"[{_FORBIDDEN}]", "", text)
