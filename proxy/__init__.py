"""What is called: the routes to Ollama, their dialects, and how answers are passed on."""
