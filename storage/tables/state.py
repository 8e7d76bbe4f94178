"""The current state of rooms: as it is, as it was at a place of the timeline, and its changes."""

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass

from homeserver.core.event.pdu import Event
from storage.pool import Database
from storage.state_delta import packed_key
from storage.tables.events import BY_INDEX, EVENT_COLUMNS, Events, StoredEvent
from storage.write import Statement, Write

__all__ = [
    "CURRENT_STATE_UPSERT", "PAGE_KEYS_MAX", "REPLACED", "STATE_CHANGE_INSERT", "State",
    "StateChange", "add_state",
]  # fmt: skip

CURRENT_STATE_UPSERT = Statement(
    name="current_state",
    rank=50,
    sql=(
        "INSERT INTO current_state (room_nid, type_nid, state_key_nid, position)"
        " SELECT * FROM unnest(%b::bigint[], %b::integer[], %b::integer[], %b::bigint[])"
        " ON CONFLICT (room_nid, type_nid, state_key_nid) DO UPDATE SET position = excluded.position"
    ),
    keys=(0, 1, 2),
)
"""Columns: room_nid, type_nid, state_key_nid, number of the event, or 0 if the state has lost what it had."""

STATE_CHANGE_INSERT = Statement(
    name="state_changes",
    rank=51,
    sql=(
        "INSERT INTO state_changes (room_nid, position, type_nid, state_key_nid, nid) SELECT * FROM"
        " unnest(%b::bigint[], %b::bigint[], %b::integer[], %b::integer[], %b::bigint[])"
    ),
)
"""Columns: room_nid, position, type_nid, state_key_nid, number of the event: null if it is the position."""

# An event is found by its number, which is its position unless it was an outlier that has found its place.
_EVENT = (
    " LATERAL (SELECT * FROM events WHERE events.room_nid = found.room_nid AND events.retention_class = 0"
    f" AND events.position = coalesce(moved.position, found.nid) {BY_INDEX}) AS events ON true"
)
_MOVED = (
    " LEFT JOIN LATERAL (SELECT position FROM moved_events WHERE moved_events.room_nid = found.room_nid"
    f" AND moved_events.nid = found.nid {BY_INDEX}) AS moved ON true"
)
_ROOM = " JOIN rooms ON rooms.room_nid = found.room_nid"
_EVENTS = f"{_MOVED} JOIN{_EVENT}{_ROOM}"
_CURRENT = (
    "SELECT room_nid, position AS nid, position AS place FROM current_state WHERE room_nid = %b::bigint"
)
# Pages go down the primary key, whose order they have, so each reads what it tells and no more. Every key of
# a page counts, also one whose event is not there: the next page goes on below the last.
_PAGE_NOW = (
    "room_nid, position AS nid, type_nid, state_key_nid FROM current_state WHERE room_nid = %b::bigint"
)
_PAGE_THEN = (
    "DISTINCT ON (type_nid, state_key_nid) room_nid, coalesce(nid, position) AS nid, type_nid, state_key_nid"
    " FROM state_changes WHERE room_nid = %b::bigint AND position <= %b::bigint"
)
_PAGE_ORDER = "type_nid DESC, state_key_nid DESC"
_BEFORE_KEY = " AND (type_nid, state_key_nid) < (%b::integer, %b::integer)"
_BEFORE_KEY_OF_TYPE = (
    " AND type_nid = (SELECT nid FROM interned_types WHERE text = %b) AND state_key_nid < %b::integer"
)
_NID_MAX = (1 << 31) - 1
_EVENTS_OF_PAGE = f"{_MOVED} LEFT JOIN{_EVENT}{_ROOM}"
_CHANGES = "room_nid, coalesce(nid, position) AS nid, position AS place FROM state_changes"
_TYPES = " AND type_nid IN (SELECT nid FROM interned_types WHERE text = ANY(%b::text[]))"
# A room has few types, and may have 100,000 members: from one type to the next by the primary key.
_NOT_TYPES = (
    " AND type_nid = ANY(ARRAY(WITH RECURSIVE there AS ("
    "(SELECT type_nid FROM state_changes WHERE room_nid = %b::bigint ORDER BY type_nid LIMIT 1)"
    " UNION ALL SELECT (SELECT next.type_nid FROM state_changes AS next WHERE next.room_nid = %b::bigint"
    " AND next.type_nid > there.type_nid ORDER BY next.type_nid LIMIT 1)"
    " FROM there WHERE there.type_nid IS NOT NULL) SELECT type_nid FROM there WHERE type_nid IS NOT NULL"
    " AND type_nid NOT IN (SELECT nid FROM interned_types WHERE text = ANY(%b::text[]))))"
)
_KEY = (
    " AND type_nid = (SELECT nid FROM interned_types WHERE text = %b)"
    " AND state_key_nid = (SELECT nid FROM interned_state_keys WHERE text = %b)"
)
# Key by key: where the planner knows nothing of a large room it read all members for one of them.
_ASKED = (
    "(SELECT DISTINCT types.nid AS type_nid, keys.nid::integer AS state_key_nid"
    " FROM unnest(%b::text[], %b::text[]) AS asked (type, state_key)"
    " JOIN interned_types AS types ON types.text = asked.type"
    " JOIN interned_state_keys AS keys ON keys.text = asked.state_key) AS key"
)
_OF_KEY = "room_nid = %b::bigint AND type_nid = key.type_nid AND state_key_nid = key.state_key_nid"
_CURRENT_OF_KEYS = (
    f"SELECT one.room_nid, one.position AS nid, one.position AS place FROM {_ASKED},"
    f" LATERAL (SELECT room_nid, position FROM current_state WHERE {_OF_KEY} {BY_INDEX}) AS one"
)
_AT_OF_KEYS = (
    f"SELECT one.* FROM {_ASKED}, LATERAL (SELECT {_CHANGES} WHERE {_OF_KEY} AND position <= %b::bigint"
    " ORDER BY position DESC LIMIT 1) AS one"
)

REPLACED = (
    "SELECT asked.number, events.event_id FROM unnest(%b::bigint[], %b::bigint[]) WITH ORDINALITY AS asked"
    " (room_nid, position, number) JOIN state_changes AS change ON change.room_nid = asked.room_nid"
    " AND change.position = asked.position LEFT JOIN LATERAL ("
    "SELECT coalesce(before.nid, before.position) AS nid FROM state_changes AS before"
    " WHERE before.room_nid = change.room_nid AND before.type_nid = change.type_nid"
    " AND before.state_key_nid = change.state_key_nid AND before.position < change.position"
    " ORDER BY before.position DESC LIMIT 1) AS before ON true"
    " LEFT JOIN LATERAL (SELECT position FROM moved_events WHERE moved_events.nid = before.nid"
    f" AND moved_events.room_nid = change.room_nid {BY_INDEX}) AS moved ON true"
    " LEFT JOIN LATERAL (SELECT event_id FROM events WHERE events.room_nid = change.room_nid"
    " AND events.position = coalesce(moved.position, before.nid) AND events.retention_class = 0"
    f" {BY_INDEX}) AS events ON true"
    " WHERE change.nid IS NULL OR EXISTS (SELECT 1 FROM moved_events AS own"
    " WHERE own.room_nid = change.room_nid AND own.nid = change.nid AND own.position = change.position)"
)
"""By rooms and positions: the number of each that became the state, and the ID of what it replaced."""

PAGE_KEYS_MAX = 250
"""Of a page of the state: some milliseconds of work."""


def add_state(
    write: Write, *, room_nid: int, type_nid: int, state_key_nid: int, position: int, nid: int | None
) -> None:
    """Add to a write that the room's current state changes for one type and state key.

    Args:
        write: takes the rows.
        room_nid: the room.
        type_nid: number of the event type.
        state_key_nid: number of the state key.
        position: of the event that brings the change about.
        nid: number of the event that is the state now; None if the state has lost what it had.
    """
    now = 0 if nid is None else nid
    write.rows.append((CURRENT_STATE_UPSERT, (room_nid, type_nid, state_key_nid, now)))
    change = (room_nid, position, type_nid, state_key_nid, None if now == position else now)
    write.rows.append((STATE_CHANGE_INSERT, change))


@dataclass(frozen=True, slots=True)
class StateChange:
    """An event that became the state of a room for its type and state key.

    Attributes:
        position: where that happened: its own place, unless state resolution brought it back.
        nid: the number of the event.
        stored: the event.
    """

    position: int
    nid: int
    stored: StoredEvent

    @property
    def event(self) -> Event:
        """The event itself."""
        return self.stored.event


class State:
    """Reads the state of rooms.

    Args:
        database: where it is.
        events: makes events of rows.
    """

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events

    async def current(self, room_nid: int, types: Sequence[str] | None = None) -> list[StoredEvent]:
        """Read the current state; only events of `types`, if given."""
        condition, parameters = _of_types(types)
        return await self._read(f"{_CURRENT}{condition}", room_nid, *parameters)

    async def current_of_keys(self, room_nid: int, keys: Iterable[tuple[str, str]]) -> list[StoredEvent]:
        """Read those events of the current state that have one of these types and state keys."""
        return [change.stored for change in await self.numbered_of_keys(room_nid, keys)]

    async def numbered_of_keys(self, room_nid: int, keys: Iterable[tuple[str, str]]) -> list[StateChange]:
        """Read the same, each with its number."""
        asked = list(keys)
        types, state_keys = [type_ for type_, _ in asked], [state_key for _, state_key in asked]
        return await self._changes(_CURRENT_OF_KEYS, types, state_keys, room_nid)

    async def current_one(self, room_nid: int, type_: str, state_key: str) -> StoredEvent | None:
        """Read one event of the current state."""
        found = await self._read(f"{_CURRENT}{_KEY}", room_nid, type_, state_key)
        return found[0] if found else None

    async def current_nids(self, room_nid: int) -> dict[int, int]:
        """Read the whole current state as numbers: of type and state key, packed, to those of the events."""
        rows = await self._database.fetch(
            "SELECT type_nid, state_key_nid, position FROM current_state"
            " WHERE room_nid = %b::bigint AND position <> 0",
            room_nid,
        )
        return {packed_key(type_nid, state_key_nid): nid for type_nid, state_key_nid, nid in rows}

    async def at(
        self,
        room_nid: int,
        position: int,
        types: Sequence[str] | None = None,
        *,
        not_types: Sequence[str] | None = None,
    ) -> list[StoredEvent]:
        """Read the state as it was just after `position`; only `types`, and none of `not_types`, if given."""
        condition, parameters = _of_types(types)
        if not_types is not None:
            condition += _NOT_TYPES
            parameters += [room_nid, room_nid, list(not_types)]
        return await self._read(
            f"SELECT DISTINCT ON (type_nid, state_key_nid) {_CHANGES}"
            f" WHERE room_nid = %b::bigint AND position <= %b::bigint{condition}"
            " ORDER BY type_nid, state_key_nid, position DESC",
            room_nid, position, *parameters,
        )  # fmt: skip

    async def pages(
        self, room_nid: int, position: int | None, type_: str | None = None, *, keys_max: int = PAGE_KEYS_MAX
    ) -> AsyncGenerator[list[StoredEvent], None]:
        """Read the state page by page, as a room may have 100,000 members.

        What changes meanwhile is told as it was or as it is; nothing is told twice.

        Args:
            room_nid: the room.
            position: as it was just after that; None as it is.
            type_: only events of this type.
            keys_max: of a page, which is ordered by position.
        """
        source, asked = _PAGE_NOW, [room_nid]
        if position is not None:
            source, asked = _PAGE_THEN, [room_nid, position]
        condition, last = _BEFORE_KEY, [_NID_MAX, _NID_MAX]
        parameters: list[object] = []
        if type_ is not None:
            condition, parameters, last = _BEFORE_KEY_OF_TYPE, [type_], [_NID_MAX]
        order = _PAGE_ORDER if position is None else f"{_PAGE_ORDER}, position DESC"
        query = (
            f"SELECT {EVENT_COLUMNS}, found.type_nid, found.state_key_nid FROM (SELECT {source}{condition}"
            f" ORDER BY {order} LIMIT %b::bigint) AS found{_EVENTS_OF_PAGE}"
        )
        while True:
            rows = await self._database.fetch(query, *asked, *parameters, *last, keys_max)
            stored = await self._events.assemble([row[:-2] for row in rows if row[0] is not None])
            stored.sort(key=lambda one: one.position)
            yield stored
            if len(rows) < keys_max:
                return
            last = list(min(row[-len(last) :] for row in rows))

    async def at_of_keys(
        self, room_nid: int, position: int, keys: Iterable[tuple[str, str]]
    ) -> list[StoredEvent]:
        """Read those events of the state just after `position` that have one of these keys."""
        asked = list(keys)
        types, state_keys = [type_ for type_, _ in asked], [state_key for _, state_key in asked]
        return await self._read(_AT_OF_KEYS, types, state_keys, room_nid, position)

    async def changes_between(self, room_nid: int, after: int, upto: int) -> list[StateChange]:
        """Read what changed above `after` and up to `upto`: the last change for each type and state key.

        What the state has lost is left out.
        """
        return await self._changes(
            f"SELECT DISTINCT ON (type_nid, state_key_nid) {_CHANGES}"
            " WHERE room_nid = %b::bigint AND position > %b::bigint AND position <= %b::bigint"
            " ORDER BY type_nid, state_key_nid, position DESC",
            room_nid, after, upto,
        )  # fmt: skip

    async def history_of(self, room_nid: int, type_: str, state_key: str) -> list[StateChange]:
        """Read every change of the state for one type and state key, oldest first."""
        return await self._changes(
            f"SELECT {_CHANGES} WHERE room_nid = %b::bigint{_KEY}", room_nid, type_, state_key
        )

    async def replaced_by(self, room_nid: int, positions: Iterable[int]) -> dict[int, str | None]:
        """Tell, for state events by position, the ID of the event that each replaced as the current state.

        Those that never were current are left out.
        """
        asked = list(positions)
        rows = await self._database.fetch(REPLACED, [room_nid] * len(asked), asked)
        return {asked[number - 1]: event_id for number, event_id in rows}

    async def _read(self, found: str, *parameters: object) -> list[StoredEvent]:
        rows = await self._database.fetch(
            f"SELECT {EVENT_COLUMNS} FROM ({found}) AS found{_EVENTS} ORDER BY events.position", *parameters
        )
        return await self._events.assemble(rows)

    async def _changes(self, found: str, *parameters: object) -> list[StateChange]:
        rows = await self._database.fetch(
            f"SELECT {EVENT_COLUMNS}, found.nid, found.place FROM ({found}) AS found{_EVENTS}"
            " ORDER BY found.place",
            *parameters,
        )
        stored = await self._events.assemble([row[:-2] for row in rows])
        return [StateChange(row[-1], row[-2], one) for row, one in zip(rows, stored, strict=True)]


def _of_types(types: Sequence[str] | None) -> tuple[str, list[object]]:
    return ("", []) if types is None else (_TYPES, [list(types)])
