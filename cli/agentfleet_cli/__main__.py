"""`python -m agentfleet_cli`: the same as `agentfleet`."""

from agentfleet_cli.main import app

app()
