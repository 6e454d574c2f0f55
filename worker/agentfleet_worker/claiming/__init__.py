"""Fills the worker's slots: the hot path between the queue and its attempts."""
