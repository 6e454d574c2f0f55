"""The Anthropic SDK above the metered transport, and what its answers and errors mean for an agent."""
