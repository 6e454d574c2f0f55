"""The agentfleet command, one file per verb."""
