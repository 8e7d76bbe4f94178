"""The reads of sync, from PostgreSQL."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import aclosing

from homeserver.core.changes import AccountDataChange, ReceiptChange
from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.rooms.bundles import Bundles, Reading
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_at import StateAt
from homeserver.sync.ports import MembershipRow
from homeserver.sync.timeline_event import TimelineEvent
from storage.interning import Interning
from storage.pool import Database
from storage.tables import account_data, receipts, room_counts
from storage.tables.erased_users import ErasedUsers
from storage.tables.events import EventFlags, Events, StoredEvent
from storage.tables.memberships import Memberships
from storage.tables.relations import Relations
from storage.tables.rooms import RoomRow, Rooms
from storage.tables.state import State
from storage.tables.state_groups import StateGroups
from storage.tables.transactions import Transactions, transaction_id_in

__all__ = ["StoredReads"]

RECEIPTS_PER_ROOM_MAX = 1_000
"""Told to a client that is new to a room: who has read lately."""

POSITION_MIN = -(2**63)
GROUPS_BYTES_MAX = 8 * 1024 * 1024
"""Only events on branches are looked up by the state before them."""

MEMBER = "m.room.member"
VISIBILITY = "m.room.history_visibility"


class StoredReads:
    """Reads committed rows; see `homeserver.sync.ports.SyncReads`."""

    def __init__(self, database: Database, interning: Interning) -> None:
        self._database = database
        self._interning = interning
        self._events = Events(database)
        self._memberships = Memberships(database)
        self._rooms = Rooms(database)
        self._state = State(database, self._events)
        self._transactions = Transactions(database)
        groups = StateGroups(database, cache_bytes_max=GROUPS_BYTES_MAX)
        self.erased_users = ErasedUsers(database)
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

    async def members_of(self, room_id: str, count_max: int) -> Sequence[tuple[str, str, int]] | None:
        """(user ID, membership, position) of everybody who ever was in a room; None if they are more."""
        rows = await self._memberships.bare_of_room(await self._room_nid(room_id), limit=count_max + 1)
        return None if len(rows) > count_max else rows

    async def members_in_short(self, room_id: str, count_max: int) -> tuple[list[str], int, int]:
        """Some of those who are in a room or invited, how many have joined, and how many are invited."""
        room_nid = await self._room_nid(room_id)
        joined, invited = await self._memberships.counts(room_nid)
        return await self._memberships.some_of_room(room_nid, limit=count_max), joined, invited

    async def joined_counts(self, room_ids: Collection[str]) -> dict[str, int]:
        """How many are in each of some rooms."""
        return await room_counts.joined(self._database, room_ids)

    async def events_until(
        self, room_id: str, position: int, count_max: int, reader: Requester
    ) -> Sequence[TimelineEvent]:
        """The last events of a room's timeline at or before `position`, newest first."""
        room_nid = await self._room_nid(room_id)
        page = await self._events.page(room_nid, position, "b", count_max)
        changes = [stored.position for stored in page if stored.event.is_state]
        replaced = await self._state.replaced_by(room_nid, changes) if changes else {}
        low = page[-1].position if len(page) == count_max else POSITION_MIN
        resets = await self._state.resets_between(room_nid, low, position)
        own = [stored for stored in page if stored.event.sender == reader.user_id]
        keys = await self._transactions.of_events(
            reader.session_id, [stored.event.event_id for stored in own], [stored.position for stored in own]
        )
        found = []
        for stored in page:
            shown = TimelineEvent(
                stored.position,
                stored.event,
                replaces=replaced.get(stored.position),
                session_id=reader.session_id,
                transaction_id=_transaction_id(keys.get(stored.event.event_id), stored),
            )
            shown.is_current = not stored.event.is_state or stored.position in replaced
            shown.is_branched = bool(stored.flags & EventFlags.BRANCHED)
            shown.resets = tuple(resets.pop(stored.position, ()))
            found.append(shown)
        if resets:  # of events that are not shown
            found += [TimelineEvent.of_resets(place, events) for place, events in resets.items()]
            found.sort(key=lambda shown: shown.position, reverse=True)
        return found

    async def state_at(
        self, room_id: str, position: int, *, members: Collection[str] | None = None
    ) -> Sequence[Event]:
        """The state of a room after the event at `position`, or the last one before it."""
        room_nid = await self._room_nid(room_id)
        if members is None:
            return await self._whole_state_at(room_nid, position)
        others = await self._state.at(room_nid, position, not_types=(MEMBER,))
        return _bare(others) + list(await self.members_at(room_id, position, members))

    async def _whole_state_at(self, room_nid: int, position: int) -> list[Event]:
        """Read all of it in steps, and do in each what takes longest of telling it."""
        events = []
        async with aclosing(self._state.pages(room_nid, position)) as pages:
            async for page in pages:
                for stored in page:
                    assert stored.event.sync_prefix, "encoded now, and once"
                    events.append(stored.event)
        return events

    async def members_at(self, room_id: str, position: int, user_ids: Collection[str]) -> Sequence[Event]:
        """The member events of some users as of `position`."""
        room_nid = await self._room_nid(room_id)
        keys = [(MEMBER, user_id) for user_id in user_ids]
        return _bare(await self._state.at_of_keys(room_nid, position, keys))

    async def state_changes(self, room_id: str, after: int, until: int) -> Sequence[tuple[int, Event]]:
        """State events with `after` < position ≤ `until`: the last of each type and state key."""
        rows = await self._state.changes_between(await self._room_nid(room_id), after, until)
        return [(stored.position, stored.event) for stored in rows]

    async def membership_history(self, room_id: str, user_id: str) -> Sequence[tuple[int, str]]:
        """Every membership that a user had in a room, oldest first."""
        return await self._history(room_id, MEMBER, user_id, "membership", "leave")

    async def visibility_history(self, room_id: str) -> Sequence[tuple[int, str]]:
        """Every history visibility that a room had, oldest first."""
        return await self._history(room_id, VISIBILITY, "", "history_visibility", "shared")

    async def events(self, event_ids: Collection[str]) -> dict[str, Event]:
        """Events by ID, those that are there."""
        return {
            event_id: stored.event for event_id, stored in (await self._events.by_ids(event_ids)).items()
        }

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
        room_nid = await self._room_nid(room_id)
        return await receipts.of_room(
            self._database, room_nid, room_id, after=after, limit=RECEIPTS_PER_ROOM_MAX
        )

    async def seen(self, room_id: str, user_id: str, event_ids: Collection[str]) -> Collection[str]:
        """Those of several events that a user may see, by the state before each of them."""
        room = await self._room(room_id)
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

    async def bundles(
        self, room_id: str, events: Sequence[Event], reader: Requester, *, until: int, now_ms: int,
        ignored: Collection[str],
    ) -> Mapping[str, bytes]:  # fmt: skip
        """The `m.relations` of those events that have any, encoded, by event ID."""
        room = await self._room(room_id)
        reading = Reading(
            requester=reader,
            history=lambda: self._sight.visible_history(room, reader.user_id),
            now_ms=now_ms,
            until=until,
            ignored=ignored,
        )
        return await self._bundles.of(room.room_nid, events, reading)

    async def _history(
        self, room_id: str, event_type: str, state_key: str, name: str, default: str
    ) -> list[tuple[int, str]]:
        rows = await self._state.history_of(await self._room_nid(room_id), event_type, state_key)
        values = [(stored.position, stored.event.content.get(name)) for stored in rows]
        return [(position, value if isinstance(value, str) else default) for position, value in values]

    async def _room_nid(self, room_id: str) -> int:
        return (await self._room(room_id)).room_nid

    async def _room(self, room_id: str) -> RoomRow:
        room = await self._rooms.find(room_id)
        assert room is not None, "a room that somebody has a membership of is stored"
        return room


def _bare(rows: Sequence[StoredEvent]) -> list[Event]:
    return [stored.event for stored in rows]


def _transaction_id(key: str | None, stored: StoredEvent) -> str | None:
    return None if key is None else transaction_id_in(key, stored.event.room_id, stored.event.type)
