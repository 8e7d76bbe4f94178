"""Gives every endpoint of the edge towards other servers the services that it calls."""

from collections.abc import Iterator

from clients.admin.federation import AdminFederationEndpoints
from federation.server.device_keys import DeviceKeysForServers
from federation.server.identity import ServerIdentityEndpoints
from federation.server.invites import InvitesEndpoints
from federation.server.joins import JoinsEndpoints
from federation.server.keys import ServerKeysEndpoints
from federation.server.knocks import KnocksEndpoints
from federation.server.leaves import LeavesEndpoints
from federation.server.region_logins import RegionLoginEndpoints
from federation.server.third_party_invites import ThirdPartyInvitesEndpoints
from homeserver.app.base_url import base_url_of
from homeserver.app.build import Services
from homeserver.app.build_entry import EntryServices
from homeserver.app.build_federation import FederationServices
from homeserver.app.build_outgoing import Outgoing
from homeserver.app.build_queries import query_owners
from homeserver.app.storage import Runtime
from homeserver.app.version import VERSION
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
    yield AdminFederationEndpoints(destinations=federation.destination_status)
    yield from federation.received
    yield from _identity(configuration, runtime, outgoing)
    if outgoing.regions.names:
        yield RegionLoginEndpoints(
            logins=services.logins, regions=outgoing.regions, server_name=configuration.server_name,
            base_url=base_url_of(configuration),
        )  # fmt: skip
    yield from _membership(configuration.server_name, services.rooms.entry)
    finding = services.rooms.finding
    yield from query_owners(
        configuration.server_name, profiles=services.profiles, directory=services.rooms.directory,
        published=finding.published, hierarchy=finding.hierarchy_for_servers,
        room_servers=federation.room_servers,
    )  # fmt: skip
    keys = services.keys
    yield DeviceKeysForServers(
        device_keys=keys.device_keys, one_time_keys=keys.one_time_keys, sharing=keys.sharing,
        server_name=configuration.server_name,
    )  # fmt: skip


def _membership(server_name: str, entry: EntryServices) -> Iterator[object]:
    templates, entries = entry.remote.templates, entry.remote.entries
    yield JoinsEndpoints(templates=templates, entries=entries, server_name=server_name)
    yield LeavesEndpoints(templates=templates, entries=entries)
    yield KnocksEndpoints(templates=templates, entries=entries)
    yield InvitesEndpoints(received_invites=entry.remote.received_invites)
    yield ThirdPartyInvitesEndpoints(
        third_party_invites=entry.third_party_invites, server_name=server_name
    )


def _identity(configuration: Configuration, runtime: Runtime, outgoing: Outgoing) -> Iterator[object]:
    section, identity = configuration.federation, outgoing.identity
    assert identity is not None, "without federation there are no endpoints for servers"
    yield ServerKeysEndpoints(
        own=identity.own, known=identity.known, clock=runtime.clock, lifetime_ms=section.key_lifetime_ms,
        may_speak_with=identity.rules.allow,
    )  # fmt: skip
    yield ServerIdentityEndpoints(software_version=VERSION, public_address=section.public_address)
