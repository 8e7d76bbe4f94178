"""Signing in by other services: as a client of OpenID Connect providers."""
