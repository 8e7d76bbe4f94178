"""Reads of the timelines and states of many rooms, in one query each."""

from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.core.event.pdu import Event
from storage.pool import Database, Row
from storage.tables.events import BY_INDEX, EVENT_COLUMNS, HIDDEN, Events, StoredEvent
from storage.tables.retention import IS_OVER_LIFETIME
from storage.tables.state import REPLACED, StateChange

__all__ = ["STATE_KEYS_MAX", "KeyAsked", "ManyRooms", "PageAsked", "Place"]

STATE_KEYS_MAX = 250
"""Of the state of one room among many: rooms with more are read by themselves."""

_POSITION_MIN = -(2**63)
_HIDDEN = int(HIDDEN)
_ASKED = "WITH ORDINALITY AS asked"
_PAGES = (
    f"SELECT {EVENT_COLUMNS}, asked.number FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[]) {_ASKED}"
    " (room_nid, place, count_max, number) JOIN rooms ON rooms.room_nid = asked.room_nid"
    " CROSS JOIN LATERAL (SELECT * FROM events WHERE events.room_nid = asked.room_nid"
    f" AND events.flags & {_HIDDEN} = 0 AND events.position > {_POSITION_MIN}"
    f" AND events.position <= asked.place AND NOT {IS_OVER_LIFETIME}"
    " ORDER BY events.position DESC LIMIT asked.count_max) AS events"
)
_MOVED = (
    " LEFT JOIN LATERAL (SELECT position FROM moved_events WHERE moved_events.room_nid = found.room_nid"
    f" AND moved_events.nid = found.nid {BY_INDEX}) AS moved ON true"
)
_EVENT = (
    " LATERAL (SELECT * FROM events WHERE events.room_nid = found.room_nid AND events.retention_class = 0"
    f" AND events.position = coalesce(moved.position, found.nid) {BY_INDEX}) AS events ON true"
    " JOIN rooms ON rooms.room_nid = found.room_nid"
)
_NID = "coalesce(change.nid, change.position) AS nid"
_CHANGE_OF_ROOM = (
    f"SELECT DISTINCT ON (change.type_nid, change.state_key_nid) change.room_nid, {_NID}"
    " FROM state_changes AS change WHERE change.room_nid = asked.room_nid"
    " AND change.position <= asked.place{condition} ORDER BY change.type_nid DESC,"
    f" change.state_key_nid DESC, change.position DESC LIMIT {STATE_KEYS_MAX}"
)
_STATES = (
    f"SELECT {EVENT_COLUMNS}, found.number FROM (SELECT asked.number, change.* FROM"
    f" unnest(%b::bigint[], %b::bigint[]) {_ASKED} (room_nid, place, number) CROSS JOIN LATERAL"
    f" ({{changes}}) AS change OFFSET 0) AS found{_MOVED} LEFT JOIN{_EVENT}"
)
_WHOLE_STATES = _STATES.format(changes=_CHANGE_OF_ROOM.format(condition=""))
# Around the members on both sides, of whom there may be 100,000.
_BELOW, _ABOVE = (
    _CHANGE_OF_ROOM.format(condition=f" AND change.type_nid {side} %b::integer") for side in "<>"
)
_STATES_BUT_A_TYPE = _STATES.format(changes=f"({_BELOW}) UNION ALL ({_ABOVE})")
_OF_KEYS = (
    f"SELECT {EVENT_COLUMNS}, found.number FROM (SELECT asked.number, change.* FROM"
    f" unnest(%b::bigint[], %b::bigint[], %b::integer[], %b::integer[]) {_ASKED}"
    f" (room_nid, place, type_nid, state_key_nid, number) CROSS JOIN LATERAL (SELECT change.room_nid, {_NID}"
    " FROM state_changes AS change WHERE change.room_nid = asked.room_nid"
    " AND change.type_nid = asked.type_nid AND change.state_key_nid = asked.state_key_nid"
    " AND change.position <= asked.place ORDER BY change.position DESC LIMIT 1) AS change OFFSET 0) AS found"
    f"{_MOVED} JOIN{_EVENT}"
)
_HISTORIES = (
    f"SELECT {EVENT_COLUMNS}, found.number, found.nid, found.place FROM (SELECT asked.number, change.* FROM"
    f" unnest(%b::bigint[], %b::integer[], %b::integer[]) {_ASKED}"
    f" (room_nid, type_nid, state_key_nid, number) CROSS JOIN LATERAL (SELECT change.room_nid, {_NID},"
    " change.position AS place FROM state_changes AS change WHERE change.room_nid = asked.room_nid"
    " AND change.type_nid = asked.type_nid AND change.state_key_nid = asked.state_key_nid) AS change"
    f" OFFSET 0) AS found{_MOVED} JOIN{_EVENT} ORDER BY found.place"
)
_RESETS = (
    f"SELECT {EVENT_COLUMNS}, found.number, found.place FROM (SELECT asked.number, change.* FROM"
    f" unnest(%b::bigint[], %b::bigint[], %b::bigint[]) {_ASKED} (room_nid, low, high, number)"
    f" CROSS JOIN LATERAL (SELECT change.room_nid, {_NID}, change.position AS place"
    " FROM state_changes AS change WHERE change.room_nid = asked.room_nid"
    " AND change.position BETWEEN asked.low AND asked.high AND change.nid IS NOT NULL"
    " AND change.position > (SELECT min(first.position) FROM state_changes AS first"
    f" WHERE first.room_nid = asked.room_nid)) AS change OFFSET 0) AS found{_MOVED} JOIN{_EVENT}"
    " ORDER BY found.place"
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the timeline of a room: just after a position."""

    room_nid: int
    position: int


@dataclass(frozen=True, slots=True)
class PageAsked:
    """The last events of a room at or before a position, at most so many."""

    room_nid: int
    position: int
    count_max: int


@dataclass(frozen=True, slots=True)
class KeyAsked:
    """One piece of the state of a room, by the numbers of its type and state key."""

    room_nid: int
    type_nid: int
    state_key_nid: int


class ManyRooms:
    """Reads them; every answer has the order of the question.

    Args:
        database: where they are.
        events: makes events of rows.
    """

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events

    async def pages(self, asked: Sequence[PageAsked]) -> list[list[StoredEvent]]:
        """Read a page of each of several timelines, newest first; see `Events.page`."""
        rows = await self._database.fetch(
            _PAGES, [one.room_nid for one in asked], [one.position for one in asked],
            [one.count_max for one in asked],
        )  # fmt: skip
        pages = await self._sorted_out(rows, len(asked))
        for page in pages:
            page.sort(key=_position, reverse=True)
        return pages

    async def states(
        self, places: Sequence[Place], *, but_type_nid: int | None = None
    ) -> list[list[StoredEvent] | None]:
        """Read the state at several places, but for one type; None of those that have very many pieces."""
        query, parameters = _WHOLE_STATES, []
        if but_type_nid is not None:
            query, parameters = _STATES_BUT_A_TYPE, [but_type_nid, but_type_nid]
        rows = await self._database.fetch(
            query, [one.room_nid for one in places], [one.position for one in places], *parameters
        )
        counts = [0] * len(places)
        for row in rows:
            counts[row[-1] - 1] += 1
        is_whole = [count < STATE_KEYS_MAX for count in counts]
        told = [row for row in rows if row[0] is not None and is_whole[row[-1] - 1]]
        states = await self._sorted_out(told, len(places))
        for state in states:
            state.sort(key=_position)
        return [state if whole else None for state, whole in zip(states, is_whole, strict=True)]

    async def pieces(self, asked: Sequence[tuple[KeyAsked, int]]) -> list[StoredEvent | None]:
        """Read pieces of states, each as of a position; None of those that there were not."""
        rows = await self._database.fetch(
            _OF_KEYS, [key.room_nid for key, _ in asked], [place for _, place in asked],
            [key.type_nid for key, _ in asked], [key.state_key_nid for key, _ in asked],
        )  # fmt: skip
        return [one[0] if one else None for one in await self._sorted_out(rows, len(asked))]

    async def histories(self, asked: Sequence[KeyAsked]) -> list[list[StateChange]]:
        """Read every change of several pieces of state, oldest first."""
        rows = await self._database.fetch(
            _HISTORIES, [one.room_nid for one in asked], [one.type_nid for one in asked],
            [one.state_key_nid for one in asked],
        )  # fmt: skip
        stored = await self._events.assemble([row[:-3] for row in rows])
        found: list[list[StateChange]] = [[] for _ in asked]
        for row, one in zip(rows, stored, strict=True):
            found[row[-3] - 1].append(StateChange(row[-1], row[-2], one))
        return found

    async def replaced(self, places: Sequence[Place]) -> dict[Place, str | None]:
        """Tell, for state events by their places, the ID of the event that each replaced.

        Those that never were current are left out; see `State.replaced_by`.
        """
        rows = await self._database.fetch(
            REPLACED, [one.room_nid for one in places], [one.position for one in places]
        )
        return {places[number - 1]: event_id for number, event_id in rows}

    async def resets(self, asked: Sequence[tuple[int, int, int]]) -> list[dict[int, list[Event]]]:
        """Read what state resolution brought back in rooms, from a position to another, by where it did."""
        rows = await self._database.fetch(_RESETS, *([one[column] for one in asked] for column in range(3)))
        stored = await self._events.assemble([row[:-2] for row in rows])
        found: list[dict[int, list[Event]]] = [{} for _ in asked]
        for row, one in zip(rows, stored, strict=True):
            if one.position != row[-1]:  # else an outlier that has found its place
                found[row[-2] - 1].setdefault(row[-1], []).append(one.event)
        return found

    async def _sorted_out(self, rows: Sequence[Row], count: int) -> list[list[StoredEvent]]:
        """Make events of rows, which end with the number of the question that each answers."""
        stored = await self._events.assemble([row[:-1] for row in rows])
        found: list[list[StoredEvent]] = [[] for _ in range(count)]
        for row, one in zip(rows, stored, strict=True):
            found[row[-1] - 1].append(one)
        return found


def _position(stored: StoredEvent) -> int:
    return stored.position
