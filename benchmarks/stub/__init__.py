"""A deterministic server with Ollama's protocol and faults on request, without any model."""
