"""The embedded engine: a small real model behind Ollama's protocol."""
