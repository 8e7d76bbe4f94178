"""Puts together what sends to other servers."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from federation.client.client import FederationClient
from federation.client.transactions import Transactions
from federation.destinations import Destinations
from federation.regions import Regions
from federation.sender.building import Building
from federation.sender.catch_up import CatchUp
from federation.sender.delivery import Delivery
from federation.sender.edus import EphemeralEdus
from federation.sender.outbox import Outbox
from federation.sender.ports import DeviceListContents
from federation.sender.recipients import Recipients
from federation.sender.sender import Sender
from federation.server_rules import ServerRules
from homeserver.app.storage import Runtime, Storage
from homeserver.rooms.room_servers import RoomServers
from homeserver.runtime.tasks import Tasks
from storage.tables.events import Events
from storage.tables.state import State

__all__ = ["Waiting", "build_sender", "build_waiting"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for other servers before anything is sent.

    Attributes:
        destinations: which of them do not answer.
        outbox: messages for devices there.
        regions: the organisation's own servers.
        rules: with whom to speak.
        server_name: ours.
    """

    destinations: Destinations
    outbox: Outbox
    regions: Regions
    rules: ServerRules
    server_name: str


async def build_waiting(
    server_name: str, runtime: Runtime, storage: Storage, regions: Regions, rules: ServerRules,
    stack: AsyncExitStack,
) -> Waiting:  # fmt: skip
    """Make what remembers servers that do not answer, and what takes messages for devices of others."""
    destinations = Destinations(
        database=storage.database, clock=runtime.clock, randomness=runtime.randomness,
        observer=runtime.observer, is_region=regions.is_region,
    )  # fmt: skip
    await destinations.start()
    stack.push_async_callback(destinations.close)
    tasks = Tasks(runtime.observer)
    stack.push_async_callback(tasks.close)
    tasks.start(destinations.run(), "destinations")
    outbox = Outbox(
        queries=storage.database, journal=storage.journal, observer=runtime.observer, may_send=rules.allow
    )
    await outbox.start()
    return Waiting(destinations, outbox, regions, rules, server_name)


async def build_sender(
    runtime: Runtime, storage: Storage, waiting: Waiting, client: FederationClient,
    room_servers: RoomServers, device_lists: DeviceListContents, stack: AsyncExitStack,
) -> Sender:  # fmt: skip
    """Make what sends, and let it begin.

    Args:
        runtime: what everything takes.
        storage: where it is noted who lacks what.
        waiting: what waits for other servers.
        client: asks them.
        room_servers: who is in which room; it follows the bus already.
        device_lists: what is told of the devices of our users.
        stack: takes what is to be undone.
    """
    database, clock, observer = storage.database, runtime.clock, runtime.observer
    server_name = waiting.server_name
    catch_up = CatchUp(
        database=database, room_servers=room_servers, state=State(database, Events(database)),
        server_name=server_name,
    )  # fmt: skip
    building = Building(
        server_name=server_name, outbox=waiting.outbox, catch_up=catch_up, device_lists=device_lists,
        clock=clock, randomness=runtime.randomness,
    )  # fmt: skip
    delivery = Delivery(
        building=building, transactions=Transactions(client), destinations=waiting.destinations,
        outbox=waiting.outbox, clock=clock, observer=observer,
    )  # fmt: skip
    recipients = Recipients(
        queries=database, room_servers=room_servers, outbox=waiting.outbox, observer=observer,
        server_name=server_name, may_send=waiting.rules.allow,
    )  # fmt: skip
    sender = Sender(
        database=database, journal=storage.journal, delivery=delivery, destinations=waiting.destinations,
        recipients=recipients, clock=clock, observer=observer, is_region=waiting.regions.is_region,
    )  # fmt: skip
    edus = EphemeralEdus(
        sender=sender, recipients=recipients, room_servers=room_servers, clock=clock, observer=observer,
        server_name=server_name,
    )  # fmt: skip
    stack.push_async_callback(sender.close)
    stack.push_async_callback(recipients.close)
    stack.push_async_callback(edus.close)
    stack.callback(storage.bus.subscribe(sender.follow))
    stack.callback(storage.bus.subscribe(edus.follow))
    await sender.start()
    tasks = Tasks(observer)
    stack.push_async_callback(tasks.close)
    tasks.start(sender.run(), "sender")
    tasks.start(edus.run(), "typing and presence for other servers")
    return sender
