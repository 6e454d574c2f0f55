"""PURE. All that differs from one LLM provider to the next, behind one port.

A further provider is one module here that implements `port.Provider`, and its line in `registry.PROVIDERS`;
nothing outside of this folder knows a provider's paths, headers, request fields, usage or error words.
"""
