"""What a process says about itself: metrics (all declared in one place), logs, and the probe server."""
