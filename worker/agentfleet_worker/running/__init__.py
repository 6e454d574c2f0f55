"""Users' code at work: handlers, workflows and agents, each step journaled. Knows nothing of claims."""
