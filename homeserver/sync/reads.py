"""The reads of sync, from PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence

from homeserver.core.changes import AccountDataChange, ReceiptChange, ThreadSubscriptionChange
from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.rooms.bundles import Bundles, Reading
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_at import StateAt
from homeserver.sync.device_reads import StoredDeviceReads
from homeserver.sync.ports import MembershipRow, StickyAsked
from homeserver.sync.room_reads import RoomReads
from homeserver.sync.sticky_reads import read_sticky_events
from homeserver.sync.timeline_event import TimelineEvent
from storage.interning import Interning
from storage.pool import Database
from storage.tables import account_data, places, receipts, room_counts, thread_subscriptions, to_device
from storage.tables.erased_users import ErasedUsers
from storage.tables.events import Events
from storage.tables.memberships import Memberships
from storage.tables.relations import Relations
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.state_groups import StateGroups
from storage.tables.transactions import Transactions

__all__ = ["StoredReads"]

GROUPS_BYTES_MAX = 8 * 1024 * 1024
"""Only events on branches are looked up by the state before them."""

MEMBER = "m.room.member"
VISIBILITY = "m.room.history_visibility"


class StoredReads:
    """Reads committed rows; see `homeserver.sync.ports.SyncReads`."""

    def __init__(self, database: Database, interning: Interning) -> None:
        self._database = database
        self._interning = interning
        self._of_rooms = RoomReads(database, interning)
        self._events = Events(database)
        self._memberships = Memberships(database)
        self._rooms = Rooms(database)
        self._state = State(database, self._events)
        self._transactions = Transactions(database)
        groups = StateGroups(database, cache_bytes_max=GROUPS_BYTES_MAX)
        self.erased_users = ErasedUsers(database)
        self.devices = StoredDeviceReads(database, interning)
        self._sight = Sight(
            rooms=self._rooms, memberships=self._memberships, state=self._state, interning=interning,
            state_at=StateAt(groups=groups, events=self._events, interning=interning),
            erased_users=self.erased_users,
        )  # fmt: skip
        self._bundles = Bundles(
            relations=Relations(database, interning), events=self._events, sight=self._sight,
            transactions=self._transactions,
        )  # fmt: skip

    async def heads(self) -> SyncToken:
        """The last position of every writer there ever was."""
        rows = await self._database.fetch("SELECT last_position FROM writers WHERE last_position > 0")
        token = SyncToken()
        for (position,) in rows:
            token = token.advance(position)
        return token

    async def memberships_of(self, user_id: str) -> Sequence[MembershipRow]:
        """Every room of a user."""
        nid = (await self._interning.existing("user", (user_id,))).get(user_id)
        if nid is None:
            return ()
        return [
            MembershipRow(row.room_id, row.membership, row.position, row.is_forgotten)
            for row in await self._memberships.of_user(nid)
        ]

    async def last_positions(self, room_ids: Collection[str]) -> dict[str, int]:
        """The position of the last event or receipt of each room."""
        last = await self._rooms.last_positions_by_id(room_ids)
        read = await receipts.last_positions(self._database, room_ids)
        return {room_id: max(position, read.get(room_id, 0)) for room_id, position in last.items()}

    async def places_after(
        self, until: Mapping[str, int], position: int, limit: int
    ) -> Sequence[tuple[int, str]]:
        """The places of events and receipts above a position in some rooms, the latest, oldest first."""
        last = await self.last_positions(until)  # most rooms are quiet
        busy = {room_id: until[room_id] for room_id, latest in last.items() if latest > position}
        return await places.after(self._database, busy, position, limit) if busy else ()

    async def members_of(self, room_id: str, count_max: int) -> Sequence[tuple[str, str, int]] | None:
        """(user ID, membership, position) of everybody who ever was in a room; None if they are more."""
        rows = await self._of_rooms.members_of(room_id, count_max + 1)
        return None if len(rows) > count_max else rows

    async def members_in_short(self, room_id: str, count_max: int) -> tuple[list[str], int, int]:
        """Some of those who are in a room or invited, how many have joined, and how many are invited."""
        room_nid = (await self._of_rooms.room(room_id)).room_nid
        joined, invited = await self._memberships.counts(room_nid)
        return await self._memberships.some_of_room(room_nid, limit=count_max), joined, invited

    async def joined_counts(self, room_ids: Collection[str]) -> dict[str, int]:
        """How many are in each of some rooms."""
        return await room_counts.joined(self._database, room_ids)

    async def events_until(
        self, room_id: str, position: int, count_max: int, reader: Requester
    ) -> Sequence[TimelineEvent]:
        """The last events of a room's timeline at or before `position`, newest first."""
        return await self._of_rooms.events_until(room_id, position, count_max, reader)

    async def state_at(
        self, room_id: str, position: int, *, members: Collection[str] | None = None
    ) -> Sequence[Event]:
        """The state of a room after the event at `position`, or the last one before it."""
        if members is None:
            return await self._of_rooms.state_at(room_id, position)
        return await self._of_rooms.part_at(room_id, position, members)

    async def members_at(self, room_id: str, position: int, user_ids: Collection[str]) -> Sequence[Event]:
        """The member events of some users as of `position`."""
        return await self._of_rooms.pieces_at(room_id, position, [(MEMBER, user_id) for user_id in user_ids])

    async def offer(self, room_id: str, user_id: str, position: int) -> bytes | None:
        """What a user was told of a room that is not here: stripped state, as a JSON array."""
        return await self._of_rooms.offer(room_id, user_id, position)

    async def state_changes(self, room_id: str, after: int, until: int) -> Sequence[tuple[int, Event]]:
        """State events with `after` < position ≤ `until`: the last of each type and state key."""
        rows = await self._state.changes_between((await self._of_rooms.room(room_id)).room_nid, after, until)
        return [(stored.position, stored.event) for stored in rows]

    async def membership_history(self, room_id: str, user_id: str) -> Sequence[tuple[int, str]]:
        """Every membership that a user had in a room, oldest first."""
        return await self._history(room_id, MEMBER, user_id, "membership", "leave")

    async def visibility_history(self, room_id: str) -> Sequence[tuple[int, str]]:
        """Every history visibility that a room had, oldest first."""
        return await self._history(room_id, VISIBILITY, "", "history_visibility", "shared")

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """Events by ID, those that are there."""
        return {event_id: stored.event for event_id, stored in (await self._events.by_ids(event_ids)).items()}

    async def account_data_after(self, user_id: str, after: int) -> Sequence[AccountDataChange]:
        """All account data of a user that was set or deleted above a position, by position."""
        return await account_data.changes_after(self._database, user_id, after)

    async def account_data_of_rooms(
        self, user_id: str, room_ids: Collection[str]
    ) -> Sequence[AccountDataChange]:
        """All account data of a user for some rooms, also what is deleted, by position."""
        return await account_data.of_rooms(self._database, user_id, room_ids)

    async def receipts_of(self, room_id: str, after: int) -> Sequence[ReceiptChange]:
        """The receipts of a room above a position, the latest ones of very many, by position."""
        return await self._of_rooms.receipts_of(room_id, after)

    async def seen(self, room_id: str, user_id: str, event_ids: Collection[str]) -> Collection[str]:
        """Those of several events that a user may see, by the state before each of them."""
        room = await self._of_rooms.room(room_id)
        history = await self._sight.visible_history(room, user_id)
        stored = await self._events.by_ids(event_ids)
        return {one.event.event_id for one in await self._sight.visible(history, list(stored.values()))}

    async def erased_among(self, user_ids: Collection[str]) -> Collection[str]:
        """Those of some users who were erased."""
        return await self.erased_users.among(user_ids)

    async def account_data_of_types(
        self, user_id: str, types: Collection[str]
    ) -> Sequence[AccountDataChange]:
        """Global account data of a user of some types, also what is deleted."""
        return await account_data.of_types(self._database, user_id, types)

    async def sticky_events(self, asked: StickyAsked, reader: Requester) -> Sequence[TimelineEvent]:
        """What is sticky now in some rooms, by position; with what is told to the session that sent it."""
        return await read_sticky_events(self._database, self._events, asked, reader)

    async def thread_changes(
        self, user_id: str, after: int, until: int, limit: int
    ) -> Sequence[ThreadSubscriptionChange]:
        """The last change of each of a user's threads with `after` < position ≤ `until`, newest first."""
        return await thread_subscriptions.changes(
            self._database, user_id, after=after, until=until, limit=limit
        )

    async def to_device(
        self, user_id: str, device_id: str, after: int, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """What waits for a device above a position, oldest first: (position, event as JSON)."""
        return await to_device.waiting(self._database, user_id, device_id, after=after, limit=limit)

    async def bundles(
        self, room_id: str, events: Sequence[Event], reader: Requester, *, until: int, now_ms: int,
        ignored: Collection[str],
    ) -> Mapping[str, bytes]:  # fmt: skip
        """The `m.relations` of those events that have any, encoded, by event ID."""
        # One question for many rooms finds that most have none.
        event_ids = [event.event_id for event in events if event.state_key is None]
        parents = await self._of_rooms.parents_among(room_id, event_ids) if event_ids else ()
        if not parents:
            return {}
        room = await self._of_rooms.room(room_id)
        reading = Reading(
            requester=reader,
            history=lambda: self._sight.visible_history(room, reader.user_id),
            now_ms=now_ms,
            until=until,
            ignored=ignored,
        )
        return await self._bundles.of(
            room.room_nid, [event for event in events if event.event_id in parents], reading
        )

    async def _history(
        self, room_id: str, event_type: str, state_key: str, name: str, default: str
    ) -> list[tuple[int, str]]:
        rows = await self._of_rooms.history_of(room_id, event_type, state_key)
        values = [(stored.position, stored.event.content.get(name)) for stored in rows]
        return [(position, value if isinstance(value, str) else default) for position, value in values]
