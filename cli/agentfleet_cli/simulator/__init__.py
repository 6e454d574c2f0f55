"""A server that speaks the Anthropic Messages API, from a seed; it prices calls by its own table."""
