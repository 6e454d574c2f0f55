"""The coordinator: the HTTP API. It never calls an LLM."""
