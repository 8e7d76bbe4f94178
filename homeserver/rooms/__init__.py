"""Rooms: one actor a room, single writer."""
