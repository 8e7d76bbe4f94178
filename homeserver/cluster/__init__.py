"""Workers and the bus between them."""
