"""The WebSocket of requests and sync."""
