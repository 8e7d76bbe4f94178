"""Where clients reach the server."""

from homeserver.app.listeners import url_of
from homeserver.config.model import Configuration, Listener

__all__ = ["base_url_of"]


def base_url_of(configuration: Configuration) -> str:
    """Where clients reach the server: as configured, else the first listener with the client API."""
    if configuration.public_base_url:
        return configuration.public_base_url
    serving = [one for one in configuration.listeners if "client" in one.apis]
    listener = next(iter(serving or configuration.listeners), Listener())
    return url_of(listener.address, listener.port, is_tls=bool(listener.tls_certificate))
