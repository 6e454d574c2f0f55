"""A tool is a function with types and a docstring; the model sees both."""

from agentfleet import tool


@tool
async def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"
