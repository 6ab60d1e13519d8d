"""How fast each model writes: for what an answer cost that Ollama did not come to count."""

from __future__ import annotations

from time import monotonic

# Tokens a second, until Ollama has said how long a model took: a middling model on a middling card.
DEFAULT_RATE = 20.0
# No model that Ollama serves writes one answer faster; whatever an upstream says, no more is charged.
MAX_RATE = 500.0
# Shorter answers tell nothing: of one token Ollama says half a millisecond, since the prompt's reading made it.
LEAST_TOKENS = 16
LEAST_NANOSECONDS = 20_000_000
# What earlier answers weigh when another one is added.
DECAY = 7 / 8
# Ollama keeps a model for five minutes after its last answer, unless it is told otherwise.
LOADED_SECONDS = 300.0
# A box has fewer models; whatever names are asked for, no more are remembered.
MOST_MODELS = 256
NANO = 1e9


class ModelSpeed:
    """What one model's latest answers came to, the older ones weighing less."""

    __slots__ = ("answered_at", "nanoseconds", "prompt_nanoseconds", "prompt_tokens", "tokens")

    def __init__(self) -> None:
        self.tokens = self.nanoseconds = 0.0
        self.prompt_tokens = self.prompt_nanoseconds = 0.0
        self.answered_at = 0.0  # on the monotonic clock

    @property
    def rate(self) -> float:
        """Tokens of output a second."""
        return min(self.tokens * NANO / self.nanoseconds, MAX_RATE) if self.nanoseconds else DEFAULT_RATE


class Speeds:
    """The speed of each model that has answered lately."""

    def __init__(self) -> None:
        self.models: dict[str, ModelSpeed] = {}

    def note(self, model: str, tokens: int, nanoseconds: int) -> None:
        """Takes in that a model has written so many tokens in that time (0: Ollama did not say)."""
        known = self.models.get(model)
        if known is None:
            if len(self.models) >= MOST_MODELS:
                del self.models[min(self.models, key=lambda name: self.models[name].answered_at)]
            known = self.models[model] = ModelSpeed()
        known.answered_at = monotonic()
        if tokens >= LEAST_TOKENS and nanoseconds >= LEAST_NANOSECONDS:
            known.tokens = known.tokens * DECAY + tokens
            known.nanoseconds = known.nanoseconds * DECAY + nanoseconds

    def note_prompt(self, model: str, tokens: int, nanoseconds: int) -> None:
        """Takes in that a model, which has answered, has read so many tokens of a prompt in that time."""
        known = self.models.get(model)
        if known is not None and tokens >= LEAST_TOKENS and nanoseconds >= LEAST_NANOSECONDS:
            known.prompt_tokens = known.prompt_tokens * DECAY + tokens
            known.prompt_nanoseconds = known.prompt_nanoseconds * DECAY + nanoseconds

    def rate(self, model: str) -> float:
        """Returns how many tokens a second a model writes, as far as that is known."""
        known = self.models.get(model)
        return known.rate if known is not None else DEFAULT_RATE

    def answers(self, model: str) -> bool:
        """Tells whether a model has answered so lately that Ollama has it loaded."""
        known = self.models.get(model)
        return known is not None and monotonic() - known.answered_at < LOADED_SECONDS

    def written(self, model: str, prompt: int, seconds: float) -> int:
        """Returns about how many tokens a model writes in that time, in which it has to read the prompt first.

        None, where nothing tells that it has answered lately: then it may just as well have been loading.
        """
        known = self.models.get(model)
        if known is None or not self.answers(model):
            return 0
        if known.prompt_tokens:
            seconds -= prompt * known.prompt_nanoseconds / known.prompt_tokens / NANO
        return int(known.rate * max(seconds, 0.0))


speeds = Speeds()
