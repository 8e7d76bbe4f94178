"""Readers of streams for clients that sync."""
