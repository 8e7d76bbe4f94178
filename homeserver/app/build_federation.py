"""Puts together what serves other servers, and what follows the news that they are to be told."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from federation.sender.sender import Sender
from homeserver.app.build import Services
from homeserver.app.build_outgoing import Outgoing
from homeserver.app.build_received import build_received
from homeserver.app.build_receiving import ReceivingServices
from homeserver.app.build_sending import build_sender
from homeserver.app.destination_status import DestinationStatus
from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.rooms.room_servers import RoomServers

__all__ = ["FederationServices", "build_federation"]


@dataclass(frozen=True, slots=True)
class FederationServices:
    """What the endpoints for other servers call.

    Attributes:
        receiving: takes in events.
        received: owners of the endpoints that take in what servers send, and tell them of rooms.
        room_servers: which servers are in which room.
        sender: sends to them.
        destination_status: tells administrators of them.
    """

    receiving: ReceivingServices
    received: Sequence[object]
    room_servers: RoomServers
    sender: Sender
    destination_status: DestinationStatus


async def build_federation(
    configuration: Configuration,
    runtime: Runtime,
    storage: Storage,
    services: Services,
    outgoing: Outgoing,
    stack: AsyncExitStack,
) -> FederationServices:
    """Make what takes in events, and what sends them.

    Args:
        configuration: of the server.
        runtime: what everything takes.
        storage: where all is kept.
        services: of accounts, rooms and sync.
        outgoing: the ways to other servers.
        stack: takes what is to be undone.
    """
    room_servers = RoomServers(storage.database, configuration.server_name)
    stack.callback(storage.bus.subscribe(room_servers.follow))
    assert outgoing.waiting is not None, "this server speaks with others"
    assert outgoing.client is not None, "this server speaks with others"
    sender = await build_sender(
        runtime, storage, outgoing.waiting, outgoing.client, room_servers, services.keys.device_keys,
        stack,
    )  # fmt: skip
    return FederationServices(
        receiving=services.rooms.entry.remote.receiving,
        received=await build_received(runtime, storage, services, room_servers, stack),
        room_servers=room_servers,
        sender=sender,
        destination_status=DestinationStatus(
            queries=storage.database, destinations=outgoing.waiting.destinations, sender=sender,
            outbox=outgoing.waiting.outbox,
        ),
    )
