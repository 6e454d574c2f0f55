"""One attempt at one task: its clocks, how it is stopped, how it ends. Knows nothing of calls or claims."""
