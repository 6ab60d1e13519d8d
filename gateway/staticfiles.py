"""Static files under a path prefix."""

from __future__ import annotations

from django.contrib.staticfiles.storage import StaticFilesStorage
from django.urls import get_script_prefix


class PrefixedStaticFiles(StaticFilesStorage):
    """Writes addresses under the prefix of the request that is being answered; Django's keep that of the first."""

    def url(self, name: str | None) -> str:
        """Returns a file's address."""
        return get_script_prefix().rstrip("/") + super().url(name)
