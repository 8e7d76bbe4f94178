"""The edge of OAuth 2.0: its endpoints for clients, and its web pages for people."""
