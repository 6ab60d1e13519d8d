"""Posts JSON to an address of the operator's, signed."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any, NamedTuple

SECONDS = 5.0


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nobody: what is signed for one address is not for another."""

    def redirect_request(self, *_: Any) -> None:
        """Says no."""


class Webhook(NamedTuple):
    """An address, and the secret that signs what is sent there."""

    url: str
    secret: str = ""

    def tell(self, said: dict[str, Any]) -> str | None:
        """Posts it; returns None when it was taken (2xx), else what went wrong, without the address."""
        body = json.dumps(said).encode()
        request = urllib.request.Request(self.url, body, self.headers(body), method="POST")  # noqa: S310 -- settings allow http and https only
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=SECONDS):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP {error.code}"
        except (OSError, HTTPException, ValueError) as error:
            return type(error).__name__

    def headers(self, body: bytes) -> dict[str, str]:
        """Returns the headers: the time, and the HMAC-SHA-256 of `<time>.<body>`, which a replay can't renew."""
        now = str(int(time.time()))
        headers = {"Content-Type": "application/json", "User-Agent": "ollama-gateway", "X-Timestamp": now}
        if self.secret:
            signed = hmac.new(self.secret.encode(), f"{now}.".encode() + body, hashlib.sha256).hexdigest()
            headers["X-Signature"] = f"sha256={signed}"
        return headers
