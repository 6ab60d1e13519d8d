"""How fast Ollama writes: for what an answer cost that nobody waited for, and that came in one piece or not at all."""

from __future__ import annotations

# Tokens a second, until Ollama has said how long it took: a middling model on a middling card.
FIRST = 20.0
NANOSECONDS = 1e9


class Speed:
    """About how many tokens a second the latest answers had."""

    def __init__(self) -> None:
        self.tokens_a_second = FIRST

    def note(self, tokens: int, nanoseconds: int) -> None:
        """Takes in how long Ollama took to write so many."""
        if tokens > 0 and nanoseconds > 0:
            self.tokens_a_second += (tokens * NANOSECONDS / nanoseconds - self.tokens_a_second) / 8

    def tokens_in(self, seconds: float) -> int:
        """Returns about how many tokens that time was enough for."""
        return int(self.tokens_a_second * max(seconds, 0.0))


speed = Speed()
