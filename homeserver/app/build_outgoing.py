"""Puts together the ways to other servers; services are made on them, so they come first."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, NoReturn

from federation.client.aliases import RemoteAliases
from federation.client.client import FederationClient
from federation.client.events import RemoteEvents
from federation.client.joins import FederatedJoins
from federation.client.keys import FederationKeys
from federation.client.logins import RegionLogins
from federation.regions import RegionGuard, Regions
from federation.server.authentication import Servers
from homeserver.accounts.ports import HomeRegions
from homeserver.app.build_connections import build_clients, build_regions
from homeserver.app.build_identity import Identity, build_identity, server_rules
from homeserver.app.build_receiving import RemotePorts
from homeserver.app.build_sending import Waiting, build_waiting
from homeserver.app.data_directory import DataDirectory
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.core.errors import Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules
from homeserver.e2ee.key_ports import NoRemoteKeys, RemoteKeys
from homeserver.e2ee.ports import RemoteDevices
from homeserver.e2ee.to_device import Unfederated
from homeserver.http.authenticate import ServerAuthenticator
from homeserver.rooms.ports import RemoteDirectory, RemoteJoins
from homeserver.rooms.unfederated import NoOtherServers

__all__ = ["Outgoing", "build_outgoing", "unfederated"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The ways to other servers.

    Attributes:
        servers: knows who asks; None: this server speaks with no other.
        identity: who this server is, and who others are; None: the same.
        client: asks other servers; None: the same.
        regions: the organisation's own servers.
        home_regions: logs their users in; None: there are none.
        ports: for what takes in events.
        keys: to the keys of devices there.
        devices: to those devices.
        waiting: what waits for other servers; None: the same.
        joins: into rooms there.
        directory: to the aliases there.
    """

    servers: ServerAuthenticator | None
    identity: Identity | None
    client: FederationClient | None
    regions: Regions
    home_regions: HomeRegions | None
    ports: RemotePorts
    keys: RemoteKeys
    devices: RemoteDevices
    waiting: Waiting | None
    joins: RemoteJoins
    directory: RemoteDirectory

    @property
    def is_federated(self) -> bool:
        """Whether this server speaks with others at all."""
        return self.servers is not None


class _Unreachable:
    """No way to any server: nothing is heard from them, and no signature is known to be valid."""

    async def request(self, destination: str, method: str, path: str, **options: object) -> NoReturn:
        del method, path, options
        raise Unavailable(f"This server cannot reach {destination}.")

    async def missing_events(self, server: str, room_id: str, **between: object) -> NoReturn:
        del room_id, between
        raise Unavailable(f"This server cannot reach {server}.")

    async def event(self, server: str, event_id: str) -> NoReturn:
        del event_id
        raise Unavailable(f"This server cannot reach {server}.")

    async def event_auth(self, server: str, room_id: str, event_id: str) -> NoReturn:
        del room_id, event_id
        raise Unavailable(f"This server cannot reach {server}.")

    async def state_ids(self, server: str, room_id: str, event_id: str) -> NoReturn:
        del room_id, event_id
        raise Unavailable(f"This server cannot reach {server}.")

    async def missing_on(
        self, pdu: Mapping[str, Any], rules: RoomVersionRules, signers: Collection[str]
    ) -> set[str]:
        del pdu, rules
        return set(signers)

    async def missing_on_each(
        self, several: Sequence[tuple[Mapping[str, Any], Collection[str]]], rules: RoomVersionRules
    ) -> list[set[str]]:
        del rules
        return [set(signers) for _, signers in several]

    async def allows(self, event: Event) -> bool:
        del event
        return True


def unfederated(runtime: Runtime) -> Outgoing:
    """The ways of a server that speaks with no other."""
    nowhere = _Unreachable()
    return Outgoing(
        servers=None,
        identity=None,
        client=None,
        regions=Regions(),
        home_regions=None,
        ports=RemotePorts(nowhere, nowhere, nowhere),
        keys=NoRemoteKeys(),
        devices=Unfederated(runtime.observer),
        waiting=None,
        joins=NoOtherServers(),
        directory=NoOtherServers(),
    )


async def build_outgoing(
    configuration: Configuration,
    runtime: Runtime,
    storage: Storage,
    data_directory: DataDirectory,
    reactor: Any,
    stack: AsyncExitStack,
) -> Outgoing:
    """Make the ways to other servers.

    Args:
        configuration: says with whom to speak.
        runtime: what everything takes.
        storage: where keys and destinations are.
        data_directory: has the signing key.
        reactor: Twisted's.
        stack: takes what is to be undone.
    """
    nowhere = unfederated(runtime)
    if not configuration.federation.enabled:
        return nowhere
    own = data_directory.own_keys(configuration.server_name)
    regions = build_regions(configuration)
    waiting = await build_waiting(
        configuration.server_name, runtime, storage, regions, server_rules(configuration), stack
    )
    clients = build_clients(
        configuration, runtime, own, regions, waiting.destinations, reactor=reactor, stack=stack
    )
    identity = build_identity(configuration, runtime, storage, own, clients.at_any_time, stack)
    servers = Servers(
        server_name=own.server_name,
        signatures=identity.key_ring,
        may_speak_with=identity.rules.allow,
        heard_from=waiting.destinations.heard_from,
    )
    return Outgoing(
        servers=RegionGuard(servers, regions),
        identity=identity,
        client=clients.ordinary,
        regions=regions,
        home_regions=RegionLogins(client=clients.ordinary, regions=regions) if regions.names else None,
        ports=RemotePorts(RemoteEvents(clients.ordinary), identity.key_ring, nowhere.ports.policy),
        keys=FederationKeys(clients.ordinary),
        devices=waiting.outbox,
        waiting=waiting,
        joins=FederatedJoins(clients.insistent),
        directory=RemoteAliases(clients.insistent),
    )
