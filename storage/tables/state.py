"""The state of rooms: as it is, as it was, and its changes."""

from collections.abc import Iterable, Sequence

from storage.pool import Database
from storage.tables.events import EVENT_COLUMNS, Events, StoredEvent
from storage.write import Statement, Write

__all__ = ["CURRENT_STATE_UPSERT", "STATE_CHANGE_INSERT", "State", "add_state"]

CURRENT_STATE_UPSERT = Statement(
    name="current_state",
    rank=50,
    sql=(
        "INSERT INTO current_state (room_nid, type_nid, state_key_nid, event_id, position)"
        " SELECT * FROM unnest(%b::bigint[], %b::integer[], %b::bigint[], %b::text[], %b::bigint[])"
        " ON CONFLICT (room_nid, type_nid, state_key_nid)"
        " DO UPDATE SET event_id = excluded.event_id, position = excluded.position"
    ),
    keys=(0, 1, 2),
)
"""Columns: room_nid, type_nid, state_key_nid, event_id, position."""

STATE_CHANGE_INSERT = Statement(
    name="state_changes",
    rank=51,
    sql=(
        "INSERT INTO state_changes"
        " (room_nid, position, type_nid, state_key_nid, event_id, replaced_event_id) SELECT * FROM"
        " unnest(%b::bigint[], %b::bigint[], %b::integer[], %b::bigint[], %b::text[], %b::text[])"
    ),
)
"""Columns: room_nid, position, type_nid, state_key_nid, event_id, replaced_event_id."""

_EVENTS = (
    " JOIN events ON events.room_nid = found.room_nid AND events.position = found.position"
    " AND events.retention_class = 0 JOIN rooms ON rooms.room_nid = found.room_nid"
)
_TYPES = " AND type_nid IN (SELECT nid FROM interned_types WHERE text = ANY(%b::text[]))"
_NOT_TYPES = " AND type_nid NOT IN (SELECT nid FROM interned_types WHERE text = ANY(%b::text[]))"
_KEY = (
    " AND type_nid = (SELECT nid FROM interned_types WHERE text = %b)"
    " AND state_key_nid = (SELECT nid FROM interned_state_keys WHERE text = %b)"
)
_KEYS = (
    " AND (type_nid, state_key_nid) IN (SELECT types.nid, keys.nid"
    " FROM unnest(%b::text[], %b::text[]) AS asked (type, state_key)"
    " JOIN interned_types AS types ON types.text = asked.type"
    " JOIN interned_state_keys AS keys ON keys.text = asked.state_key)"
)


def add_state(
    write: Write, *, room_nid: int, type_nid: int, state_key_nid: int, event_id: str, position: int,
    replaced_event_id: str | None,
) -> None:  # fmt: skip
    """Add to a write that a state event becomes part of the room's current state."""
    write.rows.append((CURRENT_STATE_UPSERT, (room_nid, type_nid, state_key_nid, event_id, position)))
    write.rows.append((
        STATE_CHANGE_INSERT, (room_nid, position, type_nid, state_key_nid, event_id, replaced_event_id),
    ))  # fmt: skip


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
        return await self._read(
            f"SELECT room_nid, position FROM current_state WHERE room_nid = %b::bigint{condition}",
            room_nid, *parameters,
        )  # fmt: skip

    async def current_of_keys(self, room_nid: int, keys: Iterable[tuple[str, str]]) -> list[StoredEvent]:
        """Read those events of the current state that have one of these types and state keys."""
        asked = list(keys)
        return await self._read(
            f"SELECT room_nid, position FROM current_state WHERE room_nid = %b::bigint{_KEYS}",
            room_nid, [type_ for type_, _ in asked], [state_key for _, state_key in asked],
        )  # fmt: skip

    async def current_one(self, room_nid: int, type_: str, state_key: str) -> StoredEvent | None:
        """Read one event of the current state."""
        found = await self._read(
            f"SELECT room_nid, position FROM current_state WHERE room_nid = %b::bigint{_KEY}",
            room_nid, type_, state_key,
        )  # fmt: skip
        return found[0] if found else None

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
            parameters.append(list(not_types))
        return await self._read(
            "SELECT DISTINCT ON (type_nid, state_key_nid) room_nid, position FROM state_changes"
            f" WHERE room_nid = %b::bigint AND position <= %b::bigint{condition}"
            " ORDER BY type_nid, state_key_nid, position DESC",
            room_nid, position, *parameters,
        )  # fmt: skip

    async def at_of_keys(
        self, room_nid: int, position: int, keys: Iterable[tuple[str, str]]
    ) -> list[StoredEvent]:
        """Read those events of the state just after `position` that have one of these keys."""
        asked = list(keys)
        return await self._read(
            "SELECT DISTINCT ON (type_nid, state_key_nid) room_nid, position FROM state_changes"
            f" WHERE room_nid = %b::bigint AND position <= %b::bigint{_KEYS}"
            " ORDER BY type_nid, state_key_nid, position DESC",
            room_nid, position, [type_ for type_, _ in asked], [state_key for _, state_key in asked],
        )  # fmt: skip

    async def changes_between(self, room_nid: int, after: int, upto: int) -> list[StoredEvent]:
        """Read what changed above `after` and up to `upto`: the last event for each type and state key."""
        return await self._read(
            "SELECT DISTINCT ON (type_nid, state_key_nid) room_nid, position FROM state_changes"
            " WHERE room_nid = %b::bigint AND position > %b::bigint AND position <= %b::bigint"
            " ORDER BY type_nid, state_key_nid, position DESC",
            room_nid, after, upto,
        )  # fmt: skip

    async def history_of(self, room_nid: int, type_: str, state_key: str) -> list[StoredEvent]:
        """Read every event that was the state for one type and state key, oldest first."""
        return await self._read(
            f"SELECT room_nid, position FROM state_changes WHERE room_nid = %b::bigint{_KEY}",
            room_nid, type_, state_key,
        )  # fmt: skip

    async def replaced_by(self, room_nid: int, positions: Iterable[int]) -> dict[int, str | None]:
        """Tell, for state events by position, the ID of the event that each replaced."""
        rows = await self._database.fetch(
            "SELECT position, replaced_event_id FROM state_changes"
            " WHERE room_nid = %b::bigint AND position = ANY(%b::bigint[])",
            room_nid, list(positions),
        )  # fmt: skip
        return dict(rows)

    async def _read(self, found: str, *parameters: object) -> list[StoredEvent]:
        rows = await self._database.fetch(
            f"SELECT {EVENT_COLUMNS} FROM ({found}) AS found{_EVENTS} ORDER BY events.position", *parameters
        )
        return await self._events.assemble(rows)


def _of_types(types: Sequence[str] | None) -> tuple[str, list[object]]:
    return ("", []) if types is None else (_TYPES, [list(types)])
