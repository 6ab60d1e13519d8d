"""One call, as it is kept for a while."""

from __future__ import annotations

from django.db import models

from usage import lines


class UsageRecord(models.Model):
    """A call that is over: whose, what, how it went, what it cost.  Never a prompt or an answer.

    Durations are Ollama's, in nanoseconds; `wait`, `first_byte` and `total` are the gateway's, in seconds.
    """

    call = models.CharField(
        max_length=lines.ID, help_text="The call's id in the journal; empty if it was refused before it was admitted."
    )
    at = models.DateTimeField(help_text="When it ended (UTC).")
    key = models.CharField(max_length=lines.KEY, help_text="The id of the key.")
    owner = models.PositiveBigIntegerField(null=True)
    team = models.CharField(max_length=lines.TEAM, blank=True)
    model = models.CharField(max_length=lines.MODEL, blank=True)
    route = models.CharField(max_length=lines.ROUTE)
    dialect = models.CharField(max_length=lines.WORD)
    request_id = models.CharField(max_length=lines.ID, blank=True)
    status = models.PositiveSmallIntegerField()
    ended = models.CharField(max_length=lines.WORD)
    prompt_tokens = models.PositiveBigIntegerField()
    completion_tokens = models.PositiveBigIntegerField()
    cached_tokens = models.PositiveBigIntegerField(
        null=True, help_text="Prompt tokens that Ollama took from its cache; they are among the prompt tokens."
    )
    estimated = models.BooleanField(help_text="The tokens are an estimate: Ollama did not come to count them.")
    load_duration = models.PositiveBigIntegerField(null=True)
    prompt_eval_duration = models.PositiveBigIntegerField(null=True)
    eval_duration = models.PositiveBigIntegerField(null=True)
    wait = models.FloatField()
    first_byte = models.FloatField(null=True)
    total = models.FloatField()
    streamed = models.BooleanField()
    upstream = models.CharField(max_length=lines.ID, blank=True)
    client = models.CharField(max_length=lines.ADDRESS, blank=True)
    error = models.CharField(
        max_length=lines.ERROR, blank=True, default="", db_default="", help_text="The code of what went wrong."
    )
    reason = models.CharField(
        max_length=lines.REASON,
        blank=True,
        default="",
        db_default="",
        help_text="What went wrong; quotes no prompt and no answer.",
    )
    user_agent = models.CharField(
        "client library",
        max_length=lines.USER_AGENT,
        blank=True,
        default="",
        db_default="",
        help_text="The User-Agent's product.",
    )
    warning = models.CharField(
        max_length=lines.WORD,
        blank=True,
        default="",
        db_default="",
        help_text="What its client was warned of: context_length for a prompt larger than the context window.",
    )

    label: str = ""  # of its key, where a page has looked it up

    class Meta:
        """Records can only be looked at; the indexes serve pruning, the pages of a key, and the search."""

        default_permissions = ("view",)
        verbose_name = "call"
        indexes = [
            models.Index(fields=["at"], name="record_at"),
            models.Index(fields=["key", "at"], name="record_key_at"),
            models.Index(fields=["status", "at"], name="record_status_at"),
            models.Index(fields=["request_id"], name="record_request_id"),
        ]

    def __str__(self) -> str:
        """Names the call for people."""
        return f"{self.route} at {self.at:%Y-%m-%d %H:%M:%S}"
