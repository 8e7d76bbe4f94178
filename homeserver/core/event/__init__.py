"""Events: what servers sign and what clients see."""
