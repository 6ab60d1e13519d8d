"""Asks an Ollama who it is, once, for the commands that tell people what is there."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

from django.conf import settings


class Found(NamedTuple):
    """What answered: its version and models, or what went wrong in a few words."""

    version: str = ""
    models: tuple[str, ...] = ()
    problem: str = ""

    def has(self, model: str) -> bool:
        """Tells whether that model is there; a name without a tag means `latest`."""
        return model in self.models or (":" not in model and f"{model}:latest" in self.models)


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """Takes a redirect for an answer: requests are never sent anywhere but to OLLAMA_URL."""

    def redirect_request(self, *_: Any) -> None:
        """Goes nowhere."""


def look(url: str, *, token: str | None = None, authority: Path | None = None, seconds: float = 2) -> Found:
    """Asks the Ollama at that base URL for its version and its models; waits that long for each; never raises."""
    try:
        context = ssl.create_default_context(cafile=authority) if url.startswith("https:") else None
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), NoRedirects, urllib.request.HTTPSHandler(context=context)
        )
        headers = {"Authorization": f"Bearer {token}"} if token else {}

        def get(path: str) -> Any:
            request = urllib.request.Request(url + path, headers=headers)  # noqa: S310 -- http or https, by its setting
            with opener.open(request, timeout=seconds) as answer:
                return json.load(answer)

        version = str(get("/api/version")["version"])
        return Found(version, tuple(str(model["name"]) for model in get("/api/tags")["models"] or ()))
    except urllib.error.HTTPError as error:
        with error:
            return Found(problem=f"it answers {error.code} to {error.url.removeprefix(url)}")
    except urllib.error.URLError as error:
        return Found(problem=str(getattr(error.reason, "strerror", None) or error.reason))
    except TimeoutError:
        return Found(problem=f"no answer within {seconds:g} s")
    except (OSError, http.client.HTTPException) as error:
        return Found(problem=str(error) or type(error).__name__)
    except (ValueError, LookupError, TypeError):
        return Found(problem="what answers is no Ollama")


class InstalledModels:
    """The names of the models on the Ollama: asked for seldom, and given up soon where it does not answer."""

    PATIENCE = 1.0  # seconds that a question may take in all
    KEPT, KEPT_FAILURE = 5.0, 30.0  # seconds

    def __init__(self) -> None:
        self._names: tuple[str, ...] | None = None
        self._asked = ""
        self._until = 0.0

    def __call__(self) -> tuple[str, ...] | None:
        """Returns them, None where they are not known; never raises."""
        url = settings.OLLAMA_URL
        if self._asked != url or time.monotonic() >= self._until:
            found: list[Found] = []
            # In a thread, since a server that sends a byte now and then would outlast every timeout of a socket.
            asking = threading.Thread(target=lambda: found.append(self._look(url)), daemon=True)
            asking.start()
            asking.join(self.PATIENCE)
            answered = bool(found) and not found[0].problem
            self._names = found[0].models if answered else None
            self._asked = url
            self._until = time.monotonic() + (self.KEPT if answered else self.KEPT_FAILURE)
        return self._names

    def _look(self, url: str) -> Found:
        env = settings.ENV
        return look(url, token=env.OLLAMA_API_KEY, authority=env.OLLAMA_CA, seconds=self.PATIENCE / 2)
