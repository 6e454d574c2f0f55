"""PURE. Anthropic's Messages API, and whatever else speaks it: a gateway, or the simulator."""
