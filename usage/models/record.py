"""One call, as it is kept for a while."""

from __future__ import annotations

from django.db import models

from usage import lines


class UsageRecord(models.Model):
    """A call that is over: whose, what, how it went, what it cost.  Never a prompt or an answer.

    Durations are Ollama's, in nanoseconds; `wait`, `first_byte` and `total` are the gateway's, in seconds.
    """

    call = models.CharField(max_length=lines.ID, help_text="The call's id in the journal.")
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

    class Meta:
        """Records can only be looked at; the indexes serve pruning and the pages of a key."""

        default_permissions = ("view",)
        verbose_name = "call"
        indexes = [
            models.Index(fields=["at"], name="record_at"),
            models.Index(fields=["key", "at"], name="record_key_at"),
        ]

    def __str__(self) -> str:
        """Names the call for people."""
        return f"{self.route} at {self.at:%Y-%m-%d %H:%M:%S}"
