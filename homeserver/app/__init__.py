"""Wiring, running and the command line."""
