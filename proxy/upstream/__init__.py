"""The way to Ollama: httpx's seam, connections of our own under it, and the object that sends requests through both."""

from __future__ import annotations

from proxy.upstream.bodies import Payload, Upload
from proxy.upstream.ollama import BROKEN, Answer, Upstream, connect

__all__ = ["BROKEN", "Answer", "Payload", "Upload", "Upstream", "connect"]
