"""The reads of sliding sync, from PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence

from homeserver.core.changes import ReceiptChange
from homeserver.core.event.pdu import Event
from homeserver.sync.sliding.ports import Wanted
from storage.interning import Interning
from storage.pool import Database
from storage.tables import receipts
from storage.tables.events import Events
from storage.tables.memberships import Memberships
from storage.tables.remote_offers import last_told_of
from storage.tables.room_cards import RoomCards
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.state_of_rooms import StateOfRooms

__all__ = ["StoredSlidingReads"]

MEMBER = "m.room.member"
RECEIPTS_PER_ROOM_MAX = 1_000


class StoredSlidingReads:
    """Reads committed rows; see `homeserver.sync.sliding.ports.SlidingReads`."""

    def __init__(self, database: Database, interning: Interning) -> None:
        self._database = database
        self._interning = interning
        self._rooms = Rooms(database)
        self._events = Events(database)
        self._cards = RoomCards(database, self._events)
        self._memberships = Memberships(database)
        self._state = State(database, self._events)
        self._state_of_rooms = StateOfRooms(database, interning, self._events)

    async def last_events(self, room_ids: Collection[str]) -> Mapping[str, int]:
        """The position of the last event of each room."""
        return await self._rooms.last_positions_by_id(room_ids)

    async def described(self, room_ids: Collection[str], types: Collection[str]) -> Sequence[Event]:
        """The current state of rooms that has one of these types and an empty state key."""
        rows = await self._cards.by_ids(list(room_ids))
        stored = await self._cards.state([row.room_nid for row in rows], list(types))
        return [one.event for one in stored]

    async def offered(self, room_ids: Collection[str]) -> Mapping[str, bytes]:
        """What was told last of those rooms that are not here: stripped state, as a JSON array."""
        return await last_told_of(self._database, room_ids)

    async def own_member_events(self, user_id: str, room_ids: Collection[str]) -> Mapping[str, Event]:
        """The member event that says what a user is to each of these rooms, by room."""
        nid = (await self._interning.existing("user", (user_id,))).get(user_id)
        if nid is None:
            return {}
        rows = [row for row in await self._memberships.of_user(nid) if row.room_id in room_ids]
        stored = await self._events.by_ids([row.event_id for row in rows])
        found = {row.room_id: stored[row.event_id].event for row in rows if row.event_id in stored}
        for row in rows:
            if row.room_id not in found:  # the room is not here, and its events are not known by their IDs
                for one in await self._state.at_of_keys(row.room_nid, row.position, [(MEMBER, user_id)]):
                    found[row.room_id] = one.event
        return found

    async def current_state(self, wanted: Mapping[str, Wanted]) -> Sequence[tuple[int, Event]]:
        """The current state of rooms that is wanted of each, and the position of each event."""
        rows = await self._cards.by_ids(list(wanted))
        nids = {row.room_nid: wanted[row.room_id] for row in rows}
        return [(stored.position, stored.event) for stored in await self._state_of_rooms.read(nids)]

    async def receipts_shown(
        self, room_ids: Collection[str], user_id: str, event_ids: Collection[str]
    ) -> Sequence[ReceiptChange]:
        """A user's own receipts in rooms, and others' that are on some events, by position."""
        return await receipts.shown(self._database, room_ids, user_id, event_ids, limit=RECEIPTS_PER_ROOM_MAX)

    async def state_of_types(self, room_id: str, position: int, types: Collection[str]) -> Sequence[Event]:
        """The state of a room just after `position` that has one of these types."""
        stored = await self._state.at(await self._room_nid(room_id), position, list(types))
        return [one.event for one in stored]

    async def state_of_keys(
        self, room_id: str, position: int, keys: Collection[tuple[str, str]]
    ) -> Sequence[Event]:
        """The state of a room just after `position` that has one of these types and state keys."""
        stored = await self._state.at_of_keys(await self._room_nid(room_id), position, keys)
        return [one.event for one in stored]

    async def _room_nid(self, room_id: str) -> int:
        room = await self._rooms.find(room_id)
        assert room is not None, "a room that somebody has a membership of is stored"
        return room.room_nid
