"""Takes over a room from another server: its state, what allows it, and the event by which we came in.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.errors import Forbidden, NotFound
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_verdicts import Accepted
from homeserver.core.room_versions import RoomVersionRules
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import intern
from homeserver.rooms.gaps import Gaps
from homeserver.rooms.outliers import Outliers, RoomContext, named_beside
from homeserver.rooms.placing import Arrival, Placing
from homeserver.rooms.registry import RoomRegistry
from storage.state_chain import StateChain
from storage.tables.events import EventFlags, Events, StoredEvent
from storage.tables.rooms import ROOM_INSERT
from storage.write import Write

__all__ = ["RoomAdoption"]

_NOT_PUBLIC = False


class RoomAdoption:
    """Adopts rooms.

    Args:
        registry: takes in the room.
        outliers: checks and stores what the other server tells.
        gaps: puts its state together.
        placing: places the event by which we come in.
        events: what is stored.
    """

    def __init__(
        self, *, registry: RoomRegistry, outliers: Outliers, gaps: Gaps, placing: Placing, events: Events
    ) -> None:
        self._registry = registry
        self._outliers = outliers
        self._gaps = gaps
        self._placing = placing
        self._events = events

    async def expect(self, entry: Event) -> None:
        """Take note of a room that is about to be adopted: what others say of it meanwhile can wait for that.

        Raises:
            Unavailable: it was not stored; the same may be tried again.
        """
        if await self._registry.rooms.find(entry.room_id) is None:
            await self._write_room(entry.rules, await self._registry.rooms.new_room_nid(), entry)

    async def adopt(
        self, rules: RoomVersionRules, entry: Event, state: Iterable[Any], auth_chain: Iterable[Any]
    ) -> None:
        """Take over a room, or go on with one that this server was in once.

        Args:
            rules: of the room's version.
            entry: the member event of ours, signed and accepted by the other server.
            state: the state before it, as PDUs.
            auth_chain: of that and of the event, as PDUs.

        Raises:
            Forbidden: by that state the event is not allowed, or the state is none.
            Unavailable: it could not be stored; the same may be tried again.
        """
        room_id = entry.room_id
        row = await self._registry.rooms.find(room_id)
        room_nid = await self._registry.rooms.new_room_nid() if row is None else row.room_nid
        pdus = await named_beside(state, rules)
        chain = await named_beside(auth_chain, rules)
        if row is None:
            await self._write_room(rules, room_nid, entry)
        elif row.version != rules.version:
            await self._correct_version(entry, rules)
        context = RoomContext(room_id, room_nid, rules, None)
        await self._outliers.store_named(context, {**pdus, **chain})
        stored = await self._events.by_ids({*pdus, *entry.auth_events})
        before = [one for event_id, one in stored.items() if event_id in pdus and _is_usable(one, room_nid)]
        _check_entry(entry, before)
        packed = await self._gaps.packed_state(room_nid, [one.event for one in before])
        room = await self._room(room_id, room_nid, rules)
        try:
            await self._place(room, entry, await self._gaps.group_of(room, packed))
        except BaseException:
            if not room.extremities:
                self._registry.drop(room)  # it knows nothing of the room
            raise

    async def _place(self, room: RoomActor, entry: Event, before: StateChain) -> None:
        (numbers,) = await intern(
            self._registry.interning, [Draft(entry.type, entry.sender, {}, entry.state_key)]
        )
        nids = await self._events.nids_of(room.room_nid, entry.auth_events)
        arrival = Arrival(
            entry, Accepted(entry), before, numbers,
            auth_nids=tuple([nids[one] for one in entry.auth_events if one in nids]),
            lacking=entry.prev_events, replaces_graph=True,
        )  # fmt: skip
        await self._placing.place(arrival)

    async def _write_room(self, rules: RoomVersionRules, room_nid: int, entry: Event) -> None:
        creator_nid = await self._registry.interning.nid("user", entry.sender)
        write = Write(order_key=entry.room_id)
        now_ms = self._registry.composer.now_ms()
        write.add(ROOM_INSERT, room_nid, entry.room_id, rules.version, creator_nid, now_ms, _NOT_PUBLIC)
        await asyncio.shield(self._registry.journal.append(write))

    async def _correct_version(self, entry: Event, rules: RoomVersionRules) -> None:
        """Give a room the version that its state says: whoever invited to it may have told another.

        Raises:
            Forbidden: it was here, so its version is known.
        """
        rooms = self._registry.rooms
        await rooms.correct_version(entry.room_id, rules.version)
        row = await rooms.find(entry.room_id)
        if row is None or row.version != rules.version:
            raise Forbidden("The room is known here to have another version.")

    async def _room(self, room_id: str, room_nid: int, rules: RoomVersionRules) -> RoomActor:
        """Find the actor of a room that is here already, or make one that knows nothing of it."""
        try:
            return await self._registry.actor(room_id)
        except NotFound:
            room = RoomActor(room_id, room_nid, rules)
            self._registry.keep(room)
            return room


def _is_usable(stored: StoredEvent, room_nid: int) -> bool:
    return stored.room_nid == room_nid and stored.event.is_state and not stored.flags & EventFlags.REJECTED


def _check_entry(entry: Event, before: list[StoredEvent]) -> None:
    state = {(one.event.type, one.event.state_key or ""): one.event for one in before}
    if ("m.room.create", "") not in state:
        raise Forbidden("The other server tells of a state without the event that created the room.")
    keys = [
        ("m.room.create", ""),
        *auth_types_for(entry.rules, entry.type, entry.sender, entry.state_key, entry.content),
    ]
    denied = authorize(entry, {key: state[key] for key in keys if key in state})
    if denied is not None:
        raise Forbidden(denied.reason)
