"""A small shop's own code: tools and handlers that its fleet runs."""
