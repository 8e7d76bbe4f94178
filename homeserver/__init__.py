"""Isthmus, a Matrix homeserver: rules, services and wiring."""
