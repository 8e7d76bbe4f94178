"""Configuration: typed, frozen, every mistake reported at once."""
