"""PURE. What to do when a call fails: again or not, how much later, and until when."""
