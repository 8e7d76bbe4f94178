"""Relations: which events point at which, and what can be told of that without reading them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from homeserver.core.content.relation import BUNDLED, could_replace, relation_of
from homeserver.core.event.pdu import Event
from storage.interning import Interning
from storage.pool import Database
from storage.write import Statement, Write

__all__ = [
    "RECURSION_DEPTH_MAX", "RELATION_DELETE", "RELATION_INSERT", "Asked", "Child", "ChildrenPage", "Parent",
    "Relations", "Summary", "Thread", "ThreadsFound", "ThreadsPage", "add_relation", "remove_relation",
]  # fmt: skip

RECURSION_DEPTH_MAX = 3
_CANDIDATES_MAX = 10
"""Of several that would do, some may be hidden from the reader; nobody looks further than these."""
_REFERENCES_MAX = 200
_ANNOTATIONS_MAX = 200
_LEVEL_EVENTS_MAX = 10_000
_THREADS_SEEN_MAX = 1_000
_POSITION_MIN, _POSITION_MAX = -(2**63), 2**63 - 1
_CHILD = "child.position, child.event_id"

RELATION_INSERT = Statement(
    name="relations",
    rank=24,
    sql=(
        "INSERT INTO relations (room_nid, position, sender_nid, origin_server_ts, type_nid, is_replacement,"
        " event_id, parent_id, rel_type) SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bigint[],"
        " %b::bigint[], %b::integer[], %b::boolean[], %b::text[], %b::text[], %b::text[])"
    ),
)
"""Columns: room_nid, position, sender_nid, origin_server_ts, type_nid, is_replacement, event_id, parent_id,
rel_type. `add_relation` fills them in."""

RELATION_DELETE = Statement(
    name="relations_gone",
    rank=31,
    sql=(
        "DELETE FROM relations USING unnest(%b::text[]) AS gone (event_id) JOIN event_ids USING (event_id)"
        " WHERE relations.room_nid = event_ids.room_nid AND relations.position = event_ids.position"
    ),
    keys=(0,),
)
"""Columns: event_id of the event that relates to nothing any more."""

BUNDLED_TYPES = "ARRAY[" + ", ".join(f"'{rel_type}'" for rel_type in sorted(BUNDLED)) + "]"
"""In SQL: the types of relations that are summed up at the event that they point at."""
_OF_PARENT = (
    " FROM relations AS child WHERE child.room_nid = asked.room_nid AND child.parent_id = found.event_id"
    " AND child.position <= asked.until AND child.sender_nid <> ALL(asked.ignored) AND child.rel_type = "
)
# What nobody relates to costs a probe of the index. LIMIT keeps the planner from joining at large.
_SUMMARIES = (
    "SELECT * FROM (WITH asked AS (SELECT %b::bigint AS room_nid, %b::bigint AS until,"
    " %b::bigint[] AS ignored, %b::bigint AS reader_nid), found AS MATERIALIZED (SELECT parent.*"
    " FROM asked, unnest(%b::text[], %b::bigint[], %b::integer[]) AS parent (event_id, sender_nid, type_nid),"
    " LATERAL (SELECT 1 FROM relations AS child WHERE child.room_nid = asked.room_nid"
    f" AND child.parent_id = parent.event_id AND child.rel_type = ANY({BUNDLED_TYPES}) LIMIT 1) AS any_child)"
    " SELECT found.event_id,"
    f" ARRAY(SELECT child.event_id{_OF_PARENT}'m.replace' AND child.is_replacement"
    " AND child.sender_nid = found.sender_nid AND child.type_nid = found.type_nid"
    f" ORDER BY child.origin_server_ts DESC, child.event_id DESC LIMIT {_CANDIDATES_MAX}),"
    f" ARRAY(SELECT child.event_id{_OF_PARENT}'m.reference'"
    f" ORDER BY child.position DESC LIMIT {_REFERENCES_MAX}),"
    f" ARRAY(SELECT child.event_id{_OF_PARENT}'m.thread'"
    f" ORDER BY child.position DESC LIMIT {_CANDIDATES_MAX}),"
    f" (SELECT count(*){_OF_PARENT}'m.thread'),"
    f" EXISTS (SELECT 1{_OF_PARENT}'m.thread' AND child.sender_nid = asked.reader_nid)"
    " FROM asked, found) AS answer"
)
_REPLIES = (
    "SELECT reply.position, reply.parent_id FROM relations AS reply WHERE reply.room_nid = %b::bigint"
    " AND reply.rel_type = 'm.thread' AND reply.position <= %b::bigint"
    " AND reply.sender_nid <> ALL(%b::bigint[])"
)
_REPLY_OF = (
    "SELECT 1 FROM relations AS other WHERE other.room_nid = %b::bigint AND other.rel_type = 'm.thread'"
    " AND other.parent_id = latest.parent_id AND other.position <= %b::bigint"
)
# From the latest reply back, each time to the next one of a thread that was not seen yet. Joins to one row
# each keep the order, and let LIMIT end the walk early. {participated} is a condition, or nothing.
_THREADS = (
    "SELECT * FROM (WITH RECURSIVE latest AS (SELECT first.position, first.parent_id,"
    f" ARRAY[first.parent_id] AS seen, 1 AS number FROM ({_REPLIES}"
    " ORDER BY reply.position DESC LIMIT 1) AS first UNION ALL SELECT next.position, next.parent_id,"
    " latest.seen || next.parent_id, latest.number + 1 FROM latest,"
    f" LATERAL ({_REPLIES} AND reply.position < latest.position AND reply.parent_id <> ALL(latest.seen)"
    f" ORDER BY reply.position DESC LIMIT 1) AS next WHERE latest.number < {_THREADS_SEEN_MAX})"
    " SELECT latest.position, latest.parent_id, latest.number, root.is_there FROM latest"
    " LEFT JOIN LATERAL (SELECT true AS is_there FROM event_ids"
    " JOIN events AS root ON root.room_nid = event_ids.room_nid AND root.position = event_ids.position"
    " AND root.retention_class = event_ids.retention_class"
    " WHERE event_ids.event_id = latest.parent_id AND event_ids.room_nid = %b::bigint"
    # On a later page: it was told already, by what came after.
    f" AND NOT EXISTS ({_REPLY_OF} AND other.position > latest.position"
    " AND other.sender_nid <> ALL(%b::bigint[]))"
    # What is itself a child of another event, or state, is no root of a thread.
    " AND root.state_key_nid IS NULL AND NOT EXISTS (SELECT 1 FROM relations AS upward"
    " WHERE upward.room_nid = root.room_nid AND upward.position = root.position){participated}"
    " LIMIT 1) AS root ON true"
    f" WHERE root.is_there OR latest.number = {_THREADS_SEEN_MAX}) AS answer LIMIT %b::bigint"
)
_PARTICIPATED = (
    f" AND (root.sender_nid = %b::bigint OR EXISTS ({_REPLY_OF} AND other.sender_nid = %b::bigint))"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose question it is, and what does not count in the answer.

    Attributes:
        user_id: the reader.
        until: nothing above this position counts; None for no bound.
        ignored: what these users sent does not count.
    """

    user_id: str
    until: int | None = None
    ignored: Collection[str] = field(default=())


@dataclass(frozen=True, slots=True)
class Parent:
    """An event that others may point at."""

    event_id: str
    sender: str
    type: str


@dataclass(frozen=True, slots=True)
class Summary:
    """What points at an event.

    Attributes:
        edits: IDs of events that can replace it, the most recent first; not all of very many.
        references: IDs of events that refer to it, oldest first; the latest of very many.
        replies: IDs of events in its thread, the latest first; not all of very many.
        replies_count: how many there are.
        has_replied: whether the reader sent one of those.
    """

    edits: Sequence[str]
    references: Sequence[str]
    replies: Sequence[str]
    replies_count: int
    has_replied: bool


@dataclass(frozen=True, slots=True)
class ChildrenPage:
    """Which children of an event, and where to begin. A position stands for the gap just after its event.

    Attributes:
        parent_id: the event that they point at.
        direction: `b` for the latest first, `f` for the oldest first.
        start: where from; None for the end that the direction leads away from.
        stop: where to stop, if at all.
        limit: at most so many.
        rel_type: only this kind of relationship.
        event_type: only events of this type.
        recurse: also what points at those, and so on, up to `RECURSION_DEPTH_MAX` levels.
    """

    parent_id: str
    direction: Literal["b", "f"]
    start: int | None
    stop: int | None
    limit: int
    rel_type: str | None = None
    event_type: str | None = None
    recurse: bool = False


@dataclass(frozen=True, slots=True)
class Child:
    """An event that points at another, by its place."""

    position: int
    event_id: str


@dataclass(frozen=True, slots=True)
class ThreadsPage:
    """Which threads of a room.

    Attributes:
        start: only those whose latest event is at or below this position; None for all.
        limit: at most so many.
        participated: only those that the reader began or replied in.
    """

    start: int | None
    limit: int
    participated: bool


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread: the position of its latest event, and the ID of its root."""

    position: int
    root_id: str


@dataclass(frozen=True, slots=True)
class ThreadsFound:
    """Threads of a page.

    Attributes:
        threads: the one with the latest event first.
        place: where to go on: below this position there may be more; None if there are none.
    """

    threads: Sequence[Thread]
    place: int | None


def add_relation(
    write: Write, event: Event, *, position: int, room_nid: int, sender_nid: int, type_nid: int
) -> None:
    """Add to a write that an event points at another, if it does; for events that clients are shown."""
    if "m.relates_to" not in event.content:
        return
    relation = relation_of(event.content)
    if relation is None:
        return
    sent_ms = max(_POSITION_MIN, min(event.origin_server_ts, _POSITION_MAX))
    is_replacement = event.state_key is None and could_replace(event.type, event.content)
    write.add(
        RELATION_INSERT, room_nid, position, sender_nid, sent_ms, type_nid, is_replacement, event.event_id,
        relation.event_id, relation.rel_type,
    )  # fmt: skip


def remove_relation(write: Write, event_id: str) -> None:
    """Add to a write that an event points at nothing any more."""
    write.add(RELATION_DELETE, event_id)


class Relations:
    """Reads relations.

    Args:
        database: where they are.
        interning: numbers of users and types.
    """

    def __init__(self, database: Database, interning: Interning) -> None:
        self._database = database
        self._interning = interning

    async def summaries(self, room_nid: int, parents: Sequence[Parent], asked: Asked) -> dict[str, Summary]:
        """Tell what points at each of several events of a room, by their IDs; nothing of most of them."""
        if not parents:
            return {}
        senders = {parent.sender for parent in parents}
        users = await self._interning.existing("user", {asked.user_id, *senders, *asked.ignored})
        types = await self._interning.existing("type", {parent.type for parent in parents})
        rows = await self._database.fetch(
            _SUMMARIES, room_nid, _POSITION_MAX if asked.until is None else asked.until,
            [users[user_id] for user_id in asked.ignored if user_id in users],
            users.get(asked.user_id),
            [parent.event_id for parent in parents],
            [users.get(parent.sender) for parent in parents],
            [types.get(parent.type) for parent in parents],
        )  # fmt: skip
        return {
            event_id: Summary(edits, references[::-1], replies, count, has_replied)
            for event_id, edits, references, replies, count, has_replied in rows
            if edits or references or replies
        }

    async def parents_among(self, events: Sequence[tuple[int, str]]) -> set[str]:
        """Tell which of some events, by their rooms and IDs, others point at so that it is summed up."""
        rows = await self._database.fetch(
            "SELECT event_id FROM unnest(%b::bigint[], %b::text[]) AS parent (room_nid, event_id),"
            " LATERAL (SELECT 1 FROM relations AS child WHERE child.room_nid = parent.room_nid"
            " AND child.parent_id = parent.event_id"
            f" AND child.rel_type = ANY({BUNDLED_TYPES}) LIMIT 1) AS one",
            [room_nid for room_nid, _ in events], [event_id for _, event_id in events],
        )  # fmt: skip
        return {event_id for (event_id,) in rows}

    async def children(self, room_nid: int, page: ChildrenPage, asked: Asked) -> list[Child]:
        """Read which events point at one event, in the order of the direction."""
        ignored = await self._nids(asked.ignored)
        conditions = "child.room_nid = %b::bigint"
        filters: list[Any] = [room_nid]
        if page.rel_type is not None:
            conditions += " AND child.rel_type = %b"
            filters.append(page.rel_type)
        if page.event_type is not None:
            conditions += " AND child.type_nid = (SELECT nid FROM interned_types WHERE text = %b)"
            filters.append(page.event_type)
        if ignored:
            conditions += " AND child.sender_nid <> ALL(%b::bigint[])"
            filters.append(ignored)
        if page.recurse:
            found, parameters = _levels(conditions, filters, page.parent_id)
        else:
            found = f"SELECT {_CHILD} FROM relations AS child WHERE {conditions} AND child.parent_id = %b"
            parameters = [*filters, page.parent_id]
        low, high = (page.stop, page.start) if page.direction == "b" else (page.start, page.stop)
        bounds = [bound for bound in (high, asked.until) if bound is not None]
        rows = await self._database.fetch(
            f"SELECT {_CHILD} FROM ({found}) AS child WHERE child.position > %b::bigint"
            " AND child.position <= %b::bigint AND child.event_id <> %b"
            f" ORDER BY child.position {'DESC' if page.direction == 'b' else 'ASC'} LIMIT %b::bigint",
            *parameters, _POSITION_MIN if low is None else low, min(bounds, default=_POSITION_MAX),
            page.parent_id, page.limit,
        )  # fmt: skip
        return [Child(position, event_id) for position, event_id in rows]

    async def threads(self, room_nid: int, page: ThreadsPage, asked: Asked) -> ThreadsFound:
        """Read the threads of a room, the one with the latest event first."""
        until = _POSITION_MAX if asked.until is None else asked.until
        start = until if page.start is None else min(page.start, until)
        ignored = await self._nids(asked.ignored)
        replies = [room_nid, start, ignored]
        parameters: list[object] = [*replies, *replies, room_nid, room_nid, until, ignored]
        if page.participated:
            reader = (await self._interning.existing("user", (asked.user_id,))).get(asked.user_id)
            parameters += [reader, room_nid, until, reader]
        sql = _THREADS.format(participated=_PARTICIPATED if page.participated else "")
        rows = await self._database.fetch(sql, *parameters, page.limit)
        rows.sort(reverse=True)
        threads = [Thread(position, root_id) for position, root_id, _, is_there in rows if is_there]
        if rows and (len(rows) == page.limit or rows[-1][2] == _THREADS_SEEN_MAX):
            return ThreadsFound(threads, rows[-1][0] - 1)
        return ThreadsFound(threads, None)

    async def annotations_by(self, room_nid: int, parent_id: str, sender: str, event_type: str) -> list[str]:
        """Tell the IDs of a user's annotations of one type on an event; the latest of very many."""
        rows = await self._database.fetch(
            "SELECT event_id FROM relations WHERE room_nid = %b::bigint AND parent_id = %b"
            " AND rel_type = 'm.annotation'"
            " AND sender_nid = (SELECT nid FROM interned_users WHERE text = %b)"
            " AND type_nid = (SELECT nid FROM interned_types WHERE text = %b)"
            f" ORDER BY position DESC LIMIT {_ANNOTATIONS_MAX}",
            room_nid, parent_id, sender, event_type,
        )  # fmt: skip
        return [event_id for (event_id,) in rows]

    async def _nids(self, user_ids: Collection[str]) -> list[int]:
        return list((await self._interning.existing("user", user_ids)).values())


def _levels(conditions: str, filters: list[Any], parent_id: str) -> tuple[str, list[Any]]:
    """Put as SQL: what points at an event, what points at that, and so on.

    Each level by itself and bounded, so that neither a circle nor a crowd makes it endless. The latest
    children of the first level count.
    """
    levels, parameters = [], [*filters, parent_id]
    levels.append(
        f"SELECT {_CHILD} FROM relations AS child WHERE {conditions} AND child.parent_id = %b"
        f" ORDER BY child.position DESC LIMIT {_LEVEL_EVENTS_MAX}"
    )
    for number in range(1, RECURSION_DEPTH_MAX):
        levels.append(
            f"SELECT {_CHILD} FROM level_{number - 1} AS above"
            f" JOIN relations AS child ON child.parent_id = above.event_id WHERE {conditions}"
            f" LIMIT {_LEVEL_EVENTS_MAX}"
        )
        parameters += filters
    named = ", ".join(f"level_{number} AS ({level})" for number, level in enumerate(levels))
    union = " UNION ".join(f"SELECT * FROM level_{number}" for number in range(len(levels)))
    return f"WITH {named} {union}", parameters
