"""Rooms out of storage: an actor with what every event needs, and further state when somebody looks at it."""

import asyncio
from collections.abc import Iterable

from homeserver.core.auth.selection import StateKey
from homeserver.core.errors import NotFound
from homeserver.core.identifiers import parse_room_id
from homeserver.core.room_versions import rules_for
from homeserver.rooms.actor import Extremity, RoomActor, StoredRoom
from homeserver.rooms.room_state import ESSENTIAL_KEYS
from storage.tables.events import Events
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.state_groups import StateGroups

__all__ = ["RoomLoading"]

WHOLE_ENTRIES_MAX = 150
"""So much state is read as a whole: that costs hardly more than the part that every event needs."""


class RoomLoading:
    """Reads rooms.

    Args:
        rooms: the rooms, and the ends of their graphs.
        events: the events there.
        state: the current state.
        groups: the same, as it was before each event.
    """

    def __init__(self, *, rooms: Rooms, events: Events, state: State, groups: StateGroups) -> None:
        self.rooms = rooms
        self._events = events
        self._state = state
        self._groups = groups

    async def load(self, room_id: str) -> RoomActor:
        """Read a room.

        Raises:
            NotFound: there is no such room here.
        """
        try:
            parse_room_id(room_id)
        except ValueError as error:
            raise NotFound(str(error)) from None
        row = await self.rooms.find(room_id)
        tip = None if row is None else await self.rooms.tip(row.room_nid)
        if row is None or tip is None:
            raise NotFound("There is no such room on this server.")
        rules = rules_for(row.version)
        assert rules is not None, f"room version {row.version} was known when the room was stored"
        ends, chain = await asyncio.gather(
            self._events.by_ids(tip.extremities), self._groups.chain(row.room_nid, tip.state_group)
        )
        extremities = [
            Extremity(ends[event_id].event, ends[event_id].group_after or 0) for event_id in tip.extremities
        ]
        stored = StoredRoom(chain, tuple(extremities), tip.last_position, tip.retention_class)
        actor = RoomActor(room_id, row.room_nid, rules, stored)
        if 0 < chain.entries_max <= WHOLE_ENTRIES_MAX:
            await self._load_whole(actor)
        else:
            await self.load_state(actor, ESSENTIAL_KEYS)
        return actor

    async def _load_whole(self, actor: RoomActor) -> None:
        """Read all of a small room's state, so that what is not at hand is not there."""
        stored = await self._events.by_nids(actor.room_nid, actor.chain.items().values())
        for nid, one in stored.items():
            actor.state.put((one.event.type, one.event.state_key or ""), one.event, nid)
        actor.state.is_whole = True

    async def load_state(self, actor: RoomActor, keys: Iterable[StateKey]) -> None:
        """Read what the state of a room has for some types and state keys.

        What is not at hand has not been changed by any write in flight, so storage has it as it is.
        """
        asked = list(keys)
        found = {
            (change.event.type, change.event.state_key or ""): change
            for change in await self._state.numbered_of_keys(actor.room_nid, asked)
        }
        for key in asked:
            change = found.get(key)
            if change is None:
                actor.state.learn(key, None, 0)
            else:
                actor.state.learn(key, change.event, change.nid)
