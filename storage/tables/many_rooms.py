"""Reads of the timelines and states of many rooms, in one query each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import RoomVersionRules
from storage.pool import Database, Row
from storage.tables.events import BY_INDEX, EVENT_COLUMNS, HIDDEN, Events
from storage.tables.relations import BUNDLED_TYPES
from storage.tables.retention import IS_OVER_LIFETIME
from storage.tables.state import REPLACED, StateChange

__all__ = ["STATE_KEYS_MAX", "KeyAsked", "ManyRooms", "PageAsked", "Place", "Shown"]

STATE_KEYS_MAX = 250
"""Of the state of one room among many: rooms with more are read by themselves."""

_HIDDEN = int(HIDDEN)
_ROWS_AT_ONCE = 3_000
"""Become events in one go: some milliseconds of work."""
_PLACE_SHOWN, _PLACE = itemgetter(0), itemgetter(1)
_ASKED = "WITH ORDINALITY AS asked"
_SHORT = "events.position, events.flags, events.event_id, events.redacted_because, events.json"
# No lower bound: with one the planner takes the span for short, and sorts all of a room's events.
_PAGES = (
    f"SELECT asked.number, {_SHORT}, events.has_children"
    f" FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[]) {_ASKED}"
    " (room_nid, place, count_max, number) JOIN rooms ON rooms.room_nid = asked.room_nid"
    " CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM relations WHERE relations.room_nid = asked.room_nid)"
    f" AS has_relations {BY_INDEX}) AS known"
    " CROSS JOIN LATERAL (SELECT *, state_key_nid IS NULL AND known.has_relations"
    " AND EXISTS (SELECT FROM relations AS child"
    " WHERE child.room_nid = events.room_nid AND child.parent_id = events.event_id"
    f" AND child.rel_type = ANY({BUNDLED_TYPES})) AS has_children FROM events"
    f" WHERE events.room_nid = asked.room_nid AND events.flags & {_HIDDEN} = 0"
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
# All events of a room in one go by the index, instead of one after the other: that is half of the work.
_EVENTS_OF_ROOM = (
    " LATERAL (SELECT * FROM events WHERE events.room_nid = found.room_nid AND events.retention_class = 0"
    " AND events.position = ANY(found.places) AND events.position BETWEEN found.low AND found.high"
    f"{{condition}} {BY_INDEX}) AS events ON true"
)
_PLACES = (
    "count(*) AS size, array_agg(found.place) AS places,"
    " min(nullif(found.place, 0)) AS low, max(found.place) AS high"
)
_STATES = (
    f"SELECT found.number, {_SHORT}, found.size FROM (SELECT asked.number, asked.room_nid, state.* FROM"
    f" {{asked}} CROSS JOIN LATERAL"
    f" (SELECT {_PLACES} FROM (SELECT coalesce(moved.position, found.nid) AS place FROM"
    f" ({{changes}}) AS found{_MOVED} {BY_INDEX}) AS found) AS state {BY_INDEX}) AS found"
    f" LEFT JOIN{_EVENTS_OF_ROOM.format(condition=f' AND found.size < {STATE_KEYS_MAX}')}"
)
_ASKED_PLACES = f"unnest(%b::bigint[], %b::bigint[]) {_ASKED} (room_nid, place, number)"
_WHOLE_STATES = _STATES.format(asked=_ASKED_PLACES, changes=_CHANGE_OF_ROOM.format(condition=""))
# Around the members on both sides, of whom there may be 100,000; and of them those who are asked for.
_BELOW, _ABOVE = (
    _CHANGE_OF_ROOM.format(condition=f" AND change.type_nid {side} %b::integer") for side in "<>"
)
_SOME_OF_TYPE = (
    f"SELECT DISTINCT ON (change.state_key_nid) change.room_nid, {_NID} FROM state_changes AS change"
    " WHERE change.room_nid = asked.room_nid AND change.type_nid = %b::integer"
    " AND change.state_key_nid = ANY(asked.key_nids) AND change.position <= asked.place"
    " ORDER BY change.state_key_nid DESC, change.position DESC"
)
_STATES_BUT_A_TYPE = _STATES.format(
    asked=(
        f"(SELECT * FROM {_ASKED_PLACES} LEFT JOIN (SELECT number, array_agg(key_nid) AS key_nids"
        " FROM unnest(%b::bigint[], %b::integer[]) AS key (number, key_nid) GROUP BY number) AS keys"
        " USING (number)) AS asked"
    ),
    changes=f"({_BELOW}) UNION ALL ({_ABOVE}) UNION ALL ({_SOME_OF_TYPE})",
)
_OF_KEYS = (
    f"SELECT found.number, {_SHORT} FROM (SELECT found.number, found.room_nid, {_PLACES} FROM"
    " (SELECT found.number, found.room_nid, coalesce(moved.position, found.nid) AS place FROM"
    " (SELECT asked.number, change.* FROM unnest(%b::bigint[], %b::bigint[])"
    f" {_ASKED} (room_nid, place, number) JOIN unnest(%b::bigint[], %b::integer[], %b::integer[])"
    " AS key (number, type_nid, state_key_nid) USING (number)"
    f" CROSS JOIN LATERAL (SELECT change.room_nid, {_NID}"
    " FROM state_changes AS change WHERE change.room_nid = asked.room_nid"
    " AND change.type_nid = key.type_nid AND change.state_key_nid = key.state_key_nid"
    f" AND change.position <= asked.place ORDER BY change.position DESC LIMIT 1) AS change {BY_INDEX})"
    f" AS found{_MOVED} {BY_INDEX}) AS found GROUP BY 1, 2 {BY_INDEX}) AS found JOIN"
    f"{_EVENTS_OF_ROOM.format(condition='')}"
)
_HISTORIES = (
    f"SELECT {EVENT_COLUMNS}, found.number, found.nid, found.place FROM (SELECT asked.number, change.* FROM"
    f" unnest(%b::bigint[], %b::integer[], %b::integer[]) {_ASKED}"
    f" (room_nid, type_nid, state_key_nid, number) CROSS JOIN LATERAL (SELECT change.room_nid, {_NID},"
    " change.position AS place FROM state_changes AS change WHERE change.room_nid = asked.room_nid"
    " AND change.type_nid = asked.type_nid AND change.state_key_nid = asked.state_key_nid) AS change"
    f" OFFSET 0) AS found{_MOVED} JOIN{_EVENT} ORDER BY found.place"
)
_RESET = (
    " FROM state_changes AS change WHERE change.room_nid = asked.room_nid"
    " AND change.position BETWEEN asked.low AND asked.high AND change.nid IS NOT NULL"
    " AND change.position > (SELECT min(first.position) FROM state_changes AS first"
    " WHERE first.room_nid = asked.room_nid)"
    # The state with which a room came here is at a place of its own: nobody knew another.
    " AND EXISTS (SELECT FROM events AS at WHERE at.room_nid = change.room_nid"
    " AND at.position = change.position)"
)
_ANY_RESETS = (
    "SELECT 1 FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[]) AS asked (room_nid, low, high)"
    f" WHERE EXISTS (SELECT{_RESET}) LIMIT 1"
)
_RESETS = (
    f"SELECT {EVENT_COLUMNS}, found.number, found.place FROM (SELECT asked.number, change.* FROM"
    f" unnest(%b::bigint[], %b::bigint[], %b::bigint[]) {_ASKED} (room_nid, low, high, number)"
    f" CROSS JOIN LATERAL (SELECT change.room_nid, {_NID}, change.position AS place"
    f"{_RESET}) AS change OFFSET 0) AS found{_MOVED} JOIN{_EVENT}"
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


class Shown(NamedTuple):  # not a frozen dataclass, which takes three times as long to make
    """An event of a page.

    Attributes:
        position: its place in the timeline.
        event: the event; as redacted, if it was, with `redacted_because` filled in.
        flags: `EventFlags`, as a number.
        has_children: other events point at it in a way that is summed up.
    """

    position: int
    event: Event
    flags: int
    has_children: bool


class ManyRooms:
    """Reads them; every answer has the order of the question. With each room come the rules of its version.

    Args:
        database: where they are.
        events: makes events of rows.
    """

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events

    async def pages(self, asked: Sequence[PageAsked], rules: Sequence[RoomVersionRules]) -> list[list[Shown]]:
        """Read a page of each of several timelines, newest first; see `Events.page`."""
        rows = await self._database.fetch(
            _PAGES, [one.room_nid for one in asked], [one.position for one in asked],
            [one.count_max for one in asked],
        )  # fmt: skip
        pages: list[list[Shown]] = [[] for _ in asked]
        events = await self._made(rows, rules)
        for row, event in zip(rows, events, strict=True):
            pages[row[0] - 1].append(Shown(row[1], event, row[2], row[6]))
        for page in pages:
            page.sort(key=_PLACE_SHOWN, reverse=True)
        return pages

    async def states(
        self, places: Sequence[Place], rules: Sequence[RoomVersionRules]
    ) -> list[list[Event] | None]:
        """Read the state at several places; None of those that have very many pieces."""
        rows = await self._database.fetch(
            _WHOLE_STATES, [one.room_nid for one in places], [one.position for one in places]
        )
        return await self._unless_large(rows, rules)

    async def states_but_for(
        self, places: Sequence[Place], type_nid: int, key_nids: Sequence[Sequence[int]],
        rules: Sequence[RoomVersionRules],
    ) -> list[list[Event] | None]:  # fmt: skip
        """Read the same, but of one type only what has one of the state keys that are named for the place."""
        rows = await self._database.fetch(
            _STATES_BUT_A_TYPE, [one.room_nid for one in places], [one.position for one in places],
            [number for number, of_place in enumerate(key_nids, 1) for _ in of_place],
            [key_nid for of_place in key_nids for key_nid in of_place],
            type_nid, type_nid, type_nid,
        )  # fmt: skip
        return await self._unless_large(rows, rules)

    async def pieces(
        self, places: Sequence[Place], keys: Sequence[Sequence[tuple[int, int]]],
        rules: Sequence[RoomVersionRules],
    ) -> list[list[Event]]:  # fmt: skip
        """Read pieces of the state at several places, by the numbers of their types and state keys."""
        rows = await self._database.fetch(
            _OF_KEYS, [one.room_nid for one in places], [one.position for one in places],
            [number for number, of_room in enumerate(keys, 1) for _ in of_room],
            [type_nid for of_room in keys for type_nid, _ in of_room],
            [state_key_nid for of_room in keys for _, state_key_nid in of_room],
        )  # fmt: skip
        return await self._of_rooms(rows, rules)

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
        spans = [[one[column] for one in asked] for column in range(3)]
        if not await self._database.fetch(_ANY_RESETS, *spans):
            return [{} for _ in asked]  # nearly always, and the other question takes a while to plan
        rows = await self._database.fetch(_RESETS, *spans)
        stored = await self._events.assemble([row[:-2] for row in rows])
        found: list[dict[int, list[Event]]] = [{} for _ in asked]
        for row, one in zip(rows, stored, strict=True):
            if one.position != row[-1]:  # else an outlier that has found its place
                found[row[-2] - 1].setdefault(row[-1], []).append(one.event)
        return found

    async def _unless_large(
        self, rows: Sequence[Row], rules: Sequence[RoomVersionRules]
    ) -> list[list[Event] | None]:
        large = {row[0] for row in rows if row[6] >= STATE_KEYS_MAX}
        states = await self._of_rooms([row for row in rows if row[1] is not None], rules)
        return [None if number in large else state for number, state in enumerate(states, 1)]

    async def _of_rooms(self, rows: Sequence[Row], rules: Sequence[RoomVersionRules]) -> list[list[Event]]:
        """Make events of rows, and sort them out by the questions that they answer, by position."""
        found: list[list[Event]] = [[] for _ in rules]
        rows = sorted(rows, key=_PLACE)
        for row, event in zip(rows, await self._made(rows, rules), strict=True):
            found[row[0] - 1].append(event)
        return found

    async def _made(self, rows: Sequence[Row], rules: Sequence[RoomVersionRules]) -> list[Event]:
        """Make events of rows that begin with the number of the question, followed by what `_SHORT` says."""
        stored = Event.stored
        events: list[Event] = []
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            if first:
                await asyncio.sleep(0)  # others have their turn
            some = rows[first : first + _ROWS_AT_ONCE]
            events += [stored(row[5], rules[row[0] - 1], row[3]) for row in some]
        redacted = [(row[4], event) for row, event in zip(rows, events, strict=True) if row[4] is not None]
        if redacted:
            await self._events.note_redactions(redacted)
        return events
