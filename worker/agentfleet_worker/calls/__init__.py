"""Paid calls: the one way from a task to a provider.

`transport` takes a request from whatever library made it, `loop` decides and tries, `money` holds, `tries`
sends and settles, `routes` and `health` know where to and when. What makes a task wait leaves as
`AttemptStopped` from `loop` alone.
"""
