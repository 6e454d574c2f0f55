"""PURE. All that differs from one LLM provider to the next, behind one port.

A further provider is one module here that implements `port.Provider`, and its line in `registry.PROVIDERS`.
Outside of this folder only the worker's agents speak one provider's API, that of the SDK which they use.
"""
