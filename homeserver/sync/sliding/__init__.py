"""Simplified sliding sync (MSC4186): lists of rooms by window, each connection told what it lacks."""
