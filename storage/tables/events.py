"""Events: one row each, and the look-up by event ID."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from typing import Literal, NamedTuple

from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import rules_for
from storage.pool import Database, Row
from storage.tables.relations import remove_relation
from storage.tables.retention import IS_OVER_LIFETIME, KEEP_REDACTED
from storage.write import Statement, Write

__all__ = [
    "BY_INDEX", "EVENT_COLUMNS", "EVENT_ID_INSERT", "EVENT_INSERT", "HIDDEN", "REDACT", "Direction",
    "EventFilter", "EventFlags", "EventNumbers", "EventPlace", "Events", "StoredEvent", "add_event",
    "add_redaction",
]  # fmt: skip

Direction = Literal["b", "f"]


class EventFlags(IntFlag):
    """What is to be known of an event beside its JSON."""

    NONE = 0
    OUTLIER = 1
    REJECTED = 2
    SOFT_FAILED = 4
    REDACTED = 8
    WITHHELD = 32  # of clients: it only joins branches, or is a redaction that has not taken effect
    BRANCHED = 64  # the state before it was not the current state when it came
    RELAYED = 128  # of another server, which let its user in by us: it is for us to send it to all others
    OVER_LIFETIME = 16  # by the retention of its room: not to be shown; only in what is read, never stored


HIDDEN = EventFlags.OUTLIER | EventFlags.REJECTED | EventFlags.SOFT_FAILED | EventFlags.WITHHELD
"""What no client sees."""

_HIDDEN, _REDACTED = int(HIDDEN), int(EventFlags.REDACTED)

EVENT_INSERT = Statement(
    name="events",
    rank=20,
    sql=(
        "INSERT INTO events (position, room_nid, sender_nid, state_key_nid, depth, state_group, type_nid,"
        " retention_class, flags, event_id, auth_nids, json)"
        " SELECT new.position, new.room_nid, new.sender_nid, new.state_key_nid, new.depth, new.state_group,"
        " new.type_nid, new.retention_class, new.flags, new.event_id, new.auth_nids::bigint[], new.json"
        " FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[], %b::bigint[],"
        " %b::integer[], %b::smallint[], %b::smallint[], %b::text[], %b::text[], %b::bytea[])"
        " AS new (position, room_nid, sender_nid, state_key_nid, depth, state_group, type_nid,"
        " retention_class, flags, event_id, auth_nids, json)"
    ),
)
"""Columns: position, room_nid, sender_nid, state_key_nid, depth, state_group, type_nid, retention_class,
flags, event_id, auth_nids (as an array literal), canonical JSON. `add_event` fills them in."""

EVENT_ID_INSERT = Statement(
    name="event_ids",
    rank=21,
    sql=(
        "INSERT INTO event_ids (event_id, room_nid, position, retention_class)"
        " SELECT * FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::smallint[])"
    ),
)
"""Columns: event_id, room_nid, position, retention_class."""

REDACT = Statement(
    name="redactions",
    rank=30,
    sql=(
        f"UPDATE events SET json = new.json, flags = events.flags | {int(EventFlags.REDACTED)},"
        " redacted_because = new.redacted_because"
        " FROM unnest(%b::text[], %b::bytea[], %b::text[]) AS new (event_id, json, redacted_because)"
        " JOIN event_ids USING (event_id)"
        " WHERE events.room_nid = event_ids.room_nid AND events.position = event_ids.position"
        " AND events.retention_class = event_ids.retention_class"
        f" AND events.flags & {int(EventFlags.REDACTED)} = 0"  # the first one counts
    ),
    keys=(0,),
)
"""Columns: event_id of the redacted event, its JSON as redacted, event_id of the redaction."""

EVENT_COLUMNS = (
    f"events.position, events.room_nid, events.flags | CASE WHEN {IS_OVER_LIFETIME}"
    f" THEN {int(EventFlags.OVER_LIFETIME)} ELSE 0 END, events.event_id, events.json,"
    " events.redacted_because, rooms.version, events.state_group"
)
"""What `Events.assemble` reads; a query joins `events` and `rooms`."""

BY_INDEX = "OFFSET 0"
"""Ends a lateral subquery: row by row, by the index, whatever the planner guesses of large rooms."""

_BY_ID = (
    f"SELECT {EVENT_COLUMNS} FROM event_ids JOIN LATERAL (SELECT * FROM events"
    " WHERE events.room_nid = event_ids.room_nid AND events.position = event_ids.position"
    f" AND events.retention_class = event_ids.retention_class {BY_INDEX}) AS events ON true"
    " JOIN rooms ON rooms.room_nid = event_ids.room_nid WHERE event_ids.event_id = ANY(%b::text[])"
)
_BY_NIDS = (
    f"SELECT {EVENT_COLUMNS}, asked.nid FROM unnest(%b::bigint[]) AS asked (nid)"
    " LEFT JOIN moved_events AS moved ON moved.room_nid = %b::bigint AND moved.nid = asked.nid"
    " JOIN LATERAL (SELECT * FROM events WHERE events.room_nid = %b::bigint AND events.retention_class = 0"
    f" AND events.position = coalesce(moved.position, asked.nid) {BY_INDEX}) AS events ON true"
    " JOIN rooms ON rooms.room_nid = events.room_nid"
)
_NIDS_OF = (
    "SELECT event_ids.event_id, coalesce(moved.nid, event_ids.position) FROM event_ids"
    " LEFT JOIN moved_events AS moved ON moved.room_nid = event_ids.room_nid"
    " AND moved.position = event_ids.position"
    " WHERE event_ids.room_nid = %b::bigint AND event_ids.event_id = ANY(%b::text[])"
)
_AUTH_NIDS = (
    "SELECT asked.nid, events.auth_nids FROM unnest(%b::bigint[]) AS asked (nid)"
    " LEFT JOIN moved_events AS moved ON moved.room_nid = %b::bigint AND moved.nid = asked.nid"
    " JOIN LATERAL (SELECT * FROM events WHERE events.room_nid = %b::bigint AND events.retention_class = 0"
    f" AND events.position = coalesce(moved.position, asked.nid) {BY_INDEX}) AS events ON true"
)
_PAGE = (
    f"SELECT {EVENT_COLUMNS} FROM events JOIN rooms ON rooms.room_nid = events.room_nid"
    f" WHERE events.room_nid = %b AND events.flags & {_HIDDEN} = 0 AND NOT {IS_OVER_LIFETIME}"
)
# Only the bounds that there are: between two the planner takes the span for short, and sorts all of it.
_ABOVE, _UP_TO = " AND events.position > %b", " AND events.position <= %b"
_ORDER = {"b": " ORDER BY events.position DESC LIMIT %b", "f": " ORDER BY events.position LIMIT %b"}
_TYPES = "events.type_nid IN (SELECT nid FROM interned_types WHERE text LIKE ANY(%b::text[]))"
_SENDERS = "events.sender_nid IN (SELECT nid FROM interned_users WHERE text = ANY(%b::text[]))"


class StoredEvent(NamedTuple):  # not a frozen dataclass, which takes three times as long to make
    """An event with its place.

    Attributes:
        position: its place in the order of its writer, and so in its room's timeline.
        room_nid: the room.
        event: the event; as redacted, if it was, with `redacted_because` filled in.
        is_redacted: whether it was.
        flags: all of what is known of it.
        state_group: the state before it; None for an outlier.
    """

    position: int
    room_nid: int
    event: Event
    is_redacted: bool = False
    flags: EventFlags = EventFlags.NONE
    state_group: int | None = None

    @property
    def group_after(self) -> int | None:
        """The state after it: that of its own position, if it is an accepted state event."""
        if self.state_group is None or not self.event.is_state or self.flags & EventFlags.REJECTED:
            return self.state_group
        return self.position


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events of a page are wanted. Types may hold `*`; None asks for nothing.

    Attributes:
        types: only these.
        not_types: none of these, whatever the others say.
        senders: only of these users.
        not_senders: of none of these.
    """

    types: Sequence[str] | None = None
    not_types: Sequence[str] = field(default=())
    senders: Sequence[str] | None = None
    not_senders: Sequence[str] = field(default=())

    def condition(self) -> tuple[str, list[object]]:
        """Put the filter as SQL and its parameters."""
        sql = ""
        parameters: list[object] = []
        if self.types is not None:
            sql += f" AND {_TYPES}"
            parameters.append([_like(pattern) for pattern in self.types])
        if self.not_types:
            sql += f" AND NOT {_TYPES}"
            parameters.append([_like(pattern) for pattern in self.not_types])
        if self.senders is not None:
            sql += f" AND {_SENDERS}"
            parameters.append(list(self.senders))
        if self.not_senders:
            sql += f" AND NOT {_SENDERS}"
            parameters.append(list(self.not_senders))
        return sql, parameters


@dataclass(frozen=True, slots=True)
class EventNumbers:
    """What storage calls the strings of an event.

    Attributes:
        type_nid: of the type.
        sender_nid: of the sender.
        state_key_nid: of the state key, if it has one.
        member_nid: of the user whom a member event is about.
    """

    type_nid: int
    sender_nid: int
    state_key_nid: int | None = None
    member_nid: int | None = None


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Where an event belongs.

    Attributes:
        position: its place in its room's timeline.
        state_group: the state before it; None for an outlier.
        auth_nids: of a state event: the numbers of its auth events.
        flags: what else is known of it.
        retention_class: of its room; state events are kept for ever all the same.
    """

    position: int
    state_group: int | None
    auth_nids: Sequence[int] = ()
    flags: EventFlags = EventFlags.NONE
    retention_class: int = 0


def add_event(write: Write, event: Event, room_nid: int, numbers: EventNumbers, place: EventPlace) -> None:
    """Add an event's rows to a write."""
    state_key_nid = numbers.state_key_nid
    assert (event.state_key is None) == (state_key_nid is None)
    kept_for, auth_nids = place.retention_class, None
    if state_key_nid is not None:
        kept_for = 0
        auth_nids = "{" + ",".join([str(nid) for nid in place.auth_nids]) + "}"
    write.rows.append((
        EVENT_INSERT,
        (
            place.position, room_nid, numbers.sender_nid, state_key_nid, event.depth, place.state_group,
            numbers.type_nid, kept_for, int(place.flags), event.event_id, auth_nids, event.canonical,
        ),
    ))  # fmt: skip
    write.rows.append((EVENT_ID_INSERT, (event.event_id, room_nid, place.position, kept_for)))


def add_redaction(write: Write, redacted: Event, redaction_event_id: str) -> None:
    """Add to a write that an event is replaced by its redacted form."""
    write.rows.append((KEEP_REDACTED, (redacted.event_id, redaction_event_id)))
    write.rows.append((REDACT, (redacted.event_id, redacted.canonical, redaction_event_id)))
    remove_relation(write, redacted.event_id)


class Events:
    """Reads events.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def by_id(self, event_id: str) -> StoredEvent | None:
        """Find one event."""
        return (await self.by_ids((event_id,))).get(event_id)

    async def by_ids(self, event_ids: Iterable[str]) -> dict[str, StoredEvent]:
        """Find those of several events that exist."""
        asked = list(event_ids)
        if not asked:
            return {}
        rows = await self._database.fetch(_BY_ID, asked)
        return {stored.event.event_id: stored for stored in await self.assemble(rows)}

    async def by_nids(self, room_nid: int, nids: Iterable[int]) -> dict[int, StoredEvent]:
        """Find state events by their numbers: their positions, or those that they had as outliers."""
        asked = list(nids)
        if not asked:
            return {}
        rows = await self._database.fetch(_BY_NIDS, asked, room_nid, room_nid)
        stored = await self.assemble([row[:-1] for row in rows])
        return {row[-1]: one for row, one in zip(rows, stored, strict=True)}

    async def nids_of(self, room_nid: int, event_ids: Iterable[str]) -> dict[str, int]:
        """Tell the numbers of those events of a room that are stored."""
        rows = await self._database.fetch(_NIDS_OF, room_nid, list(event_ids))
        return dict(rows)

    async def auth_nids(self, room_nid: int, nids: Iterable[int]) -> dict[int, tuple[int, ...]]:
        """Tell the numbers of the auth events of state events."""
        rows = await self._database.fetch(_AUTH_NIDS, list(nids), room_nid, room_nid)
        return {nid: tuple(auth_nids) for nid, auth_nids in rows}

    async def page(
        self, room_nid: int, from_position: int | None, direction: Direction, limit: int, *,
        to_position: int | None = None, wanted: EventFilter | None = None,
    ) -> list[StoredEvent]:  # fmt: skip
        """Read part of a room's timeline.

        A position stands for the gap just after the event that has it. So backwards gives events at or below
        `from_position` and above `to_position`, newest first; forwards gives those above `from_position` and
        at or below `to_position`, oldest first. Outliers, rejected and soft-failed events are left out.

        Args:
            room_nid: the room.
            from_position: where to start; None for the end that the direction leads away from.
            direction: `b` or `f`.
            limit: at most so many events.
            to_position: where to stop.
            wanted: which events; None for all.
        """
        low, high = (to_position, from_position) if direction == "b" else (from_position, to_position)
        condition, parameters = wanted.condition() if wanted is not None else ("", [])
        bounds = ("" if low is None else _ABOVE) + ("" if high is None else _UP_TO)
        rows = await self._database.fetch(
            _PAGE + bounds + condition + _ORDER[direction],
            room_nid,
            *[bound for bound in (low, high) if bound is not None],
            *parameters,
            limit,
        )
        return await self.assemble(rows)

    async def latest(self, room_nid: int, limit: int) -> list[StoredEvent]:
        """Read the end of a room's timeline, oldest first."""
        return (await self.page(room_nid, None, "b", limit))[::-1]

    async def assemble(self, rows: Sequence[Row]) -> list[StoredEvent]:
        """Make events of rows of `EVENT_COLUMNS`, and find the redactions of those that were redacted."""
        stored: list[StoredEvent] = []
        redacted: list[tuple[str, Event]] = []
        for position, room_nid, flags, event_id, json, redacted_because, version, state_group in rows:
            rules = rules_for(version)
            assert rules is not None, f"room version {version} was known when the room was stored"
            event = Event.stored(json, rules, event_id)
            # Nearly all have none, and the arithmetic of flags takes as long as reading the event.
            seen, is_redacted = EventFlags.NONE, False
            if flags:
                seen, is_redacted = EventFlags(flags), bool(flags & _REDACTED)
            stored.append(StoredEvent(position, room_nid, event, is_redacted, seen, state_group))
            if redacted_because is not None:
                redacted.append((redacted_because, event))
        if redacted:
            await self.note_redactions(redacted)
        return stored

    async def note_redactions(self, redacted: Sequence[tuple[str, Event]]) -> None:
        """Find redactions by their IDs, and fill in that events were redacted by them."""
        rows = await self._database.fetch(_BY_ID, list({event_id for event_id, _ in redacted}))
        found = {}
        for row in rows:
            rules = rules_for(row[6])
            assert rules is not None
            found[row[3]] = Event.stored(row[4], rules, row[3])
        for event_id, event in redacted:
            if event_id in found:
                event.redacted_because = found[event_id]


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
