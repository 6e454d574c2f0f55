"""What all services of agentfleet share; pure where it decides."""
