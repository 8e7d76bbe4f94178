"""Puts together what takes in what other servers send, and what tells them what they ask about rooms."""

from collections.abc import Iterator
from contextlib import AsyncExitStack

from federation.server.edus import EdusFromServers
from federation.server.intake import Intake
from federation.server.origin_limits import OriginLimits
from federation.server.refusals import Refusals
from federation.server.room_access import RoomAccess
from federation.server.room_history import RoomHistoryForServers
from federation.server.room_queues import RoomQueues
from federation.server.room_states import RoomStatesForServers
from federation.server.staging import Staging
from federation.server.transactions import TransactionsFromServers
from homeserver.app.build import Services
from homeserver.app.storage import Runtime, Storage
from homeserver.rooms.room_servers import RoomServers
from homeserver.rooms.server_history import ServerHistory
from homeserver.rooms.server_sight import ServerSight
from storage.tables.events import Events

__all__ = ["build_received"]


async def build_received(
    runtime: Runtime, storage: Storage, services: Services, room_servers: RoomServers,
    stack: AsyncExitStack,
) -> tuple[object, ...]:  # fmt: skip
    """Make the owners of the endpoints, and go on with what was acknowledged before.

    Args:
        runtime: what everything takes.
        storage: where all is kept.
        services: of accounts, rooms and sync.
        room_servers: which servers are in which room.
        stack: takes what is to be undone.
    """
    access = RoomAccess(registry=services.rooms.registry, room_servers=room_servers)
    transactions = await _transactions(runtime, storage, services, access, stack)
    return (transactions, *_reading(runtime, storage, services, access))


async def _transactions(
    runtime: Runtime, storage: Storage, services: Services, access: RoomAccess, stack: AsyncExitStack
) -> TransactionsFromServers:
    refusals = Refusals(runtime.observer)
    remote, ephemeral = services.rooms.entry.remote, services.ephemeral
    intake = Intake(
        ingest=remote.receiving.ingest, outsiders=remote.outsiders, residency=remote.residency,
        arrival=remote.rooms.joining.settled,
    )  # fmt: skip
    stack.callback(storage.bus.subscribe(intake.follow))
    queues = RoomQueues(
        receive=intake.receive, staging=Staging(queries=storage.database, clock=runtime.clock),
        refusals=refusals, observer=runtime.observer,
    )  # fmt: skip
    stack.push_async_callback(queues.close)
    await queues.start()
    edus = EdusFromServers(
        typing=ephemeral.typing, receipts=ephemeral.receipts, presence=ephemeral.remote_presence,
        to_device=services.encryption.received_messages.take_in, devices=services.keys.remote_devices,
        allows=access.allows, refusals=refusals, clock=runtime.clock,
    )  # fmt: skip
    return TransactionsFromServers(
        queues=queues, edus=edus.take_in, rooms=services.rooms.registry.rooms,
        limits=OriginLimits(runtime.clock), refusals=refusals,
    )  # fmt: skip


def _reading(
    runtime: Runtime, storage: Storage, services: Services, access: RoomAccess
) -> Iterator[object]:
    database, registry, state_at = storage.database, services.rooms.registry, services.rooms.state_at
    events = Events(database)
    yield RoomHistoryForServers(
        access=access, history=ServerHistory(database, events), events=events, rooms=registry.rooms,
        sight=ServerSight(
            queries=database, state_at=state_at, erased_users=storage.reads.erased_users
        ),
        clock=runtime.clock, server_name=registry.composer.server_name,
    )  # fmt: skip
    yield RoomStatesForServers(
        access=access, states=services.rooms.entry.remote.server_states
    )
