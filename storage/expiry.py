"""Forgets what is kept for a time only: transaction IDs, redacted content, old connections, old events.

Events go a partition at a time, which costs the same however many there are; what points at them goes before,
in batches. Each step is small and may be repeated, so whatever ends it, the next one goes on.
"""

import asyncio
from collections.abc import Callable, Sequence

from homeserver.core.canonical_json import parse_json
from homeserver.core.errors import MatrixError
from homeserver.core.event.pdu import Event
from homeserver.core.redaction import redact
from homeserver.core.room_versions import rules_for
from homeserver.core.signing import encode_for_rules
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import EventsForgotten, Failure, Observer
from storage.partitions import Partition, Partitions, position_at
from storage.pool import Database, Row
from storage.tables import sliding_connections, sticky_events
from storage.tables.queries import Queries
from storage.tables.retention import Retention
from storage.tables.transactions import Transactions

__all__ = [
    "SLIDING_CONNECTIONS_KEPT_MS", "TRANSACTIONS_KEPT_MS", "EventExpiry", "Expiry", "forget_events",
]  # fmt: skip

TRANSACTIONS_KEPT_MS = 48 * 3_600_000
"""A client that lost its answer tries again within minutes, one that lost its network within a day or so."""

SLIDING_CONNECTIONS_KEPT_MS = 7 * 24 * 3_600_000
"""Whoever was away for longer has so much to catch up with that beginning again is as good."""

BATCH_EVENTS_MAX = 500
BACKFILLED_BATCHES_MAX = 20
"""Backfilled events are looked at one by one, so many batches at a time."""
_INTERVAL_S = 3_600.0
_LOCK_TIMEOUT_MS = 2_000
_REDACTED_FLAG = 8
_POSITION_MIN = -(2**63)

_GONE = "unnest(%b::bigint[], %b::bigint[], %b::text[]) AS gone (room_nid, position, event_id)"
_AT = "room_nid = gone.room_nid AND {0}.position = gone.position"
_POINTERS = (
    (
        f"DELETE FROM event_ids USING {_GONE} WHERE event_ids.event_id = gone.event_id"
        " AND event_ids.position = gone.position"
    ),
    (
        f"DELETE FROM redacted_events AS kept USING {_GONE} WHERE kept.room_nid = gone.room_nid"
        " AND kept.event_id = gone.event_id"
    ),
    *[
        f"DELETE FROM {table} USING {_GONE} WHERE {table}.{_AT.format(table)}"
        for table in ("relations", "moved_events", "backward_extremities", "waiting_redactions")
    ],
)
"""What points at an event by its place or its ID; first the look-up by ID. Transaction IDs stay for their own
time: who repeats one must not send twice."""

_EXTREMITIES = (
    f"SELECT gone.room_nid, gone.position, gone.event_id FROM {_GONE}"
    " JOIN room_tips ON room_tips.room_nid = gone.room_nid AND gone.event_id = ANY(room_tips.extremities)"
)
_STRIP = (
    "UPDATE events SET json = %b::bytea, retention_class = 0,"
    f" flags = (flags | {_REDACTED_FLAG})::smallint"
    " WHERE room_nid = %b::bigint AND position = %b::bigint AND state_key_nid IS NULL"
)
_FIRST = (_POSITION_MIN, _POSITION_MIN)


class Expiry:
    """Deletes transaction IDs no client will repeat, what redactions took away, connections nobody uses.

    Args:
        database: where they are.
        clock: tells their age.
        observer: hears of failures.
        redacted_content_kept_ms: how long the content of redacted events is kept.
    """

    def __init__(
        self, database: Database, clock: Clock, observer: Observer, redacted_content_kept_ms: int = 0
    ) -> None:
        self._database = database
        self._transactions = Transactions(database)
        self._retention = Retention(database)
        self._clock = clock
        self._observer = observer
        self._redacted_content_kept_ms = redacted_content_kept_ms

    async def run(self) -> None:
        """Delete for ever; to be started once, in the background."""
        while True:
            try:
                await self.expire()
                await self.expire_redacted()
                await self.expire_sticky()
                await self.expire_sliding()
            except MatrixError as error:
                self._observer(Failure(error))
            await asyncio.sleep(_INTERVAL_S)

    async def expire(self) -> int:
        """Delete transaction IDs that are over their time; returns how many."""
        return await self._transactions.expire(position_at(self._clock.now_ms() - TRANSACTIONS_KEPT_MS))

    async def expire_sticky(self) -> int:
        """Delete the rows of events that are not sticky any more; returns how many."""
        return await sticky_events.delete_over(self._database, self._clock.now_ms())

    async def expire_sliding(self) -> int:
        """Delete connections of sliding sync that were not used for long; returns how many."""
        before_ms = self._clock.now_ms() - SLIDING_CONNECTIONS_KEPT_MS
        return await sliding_connections.delete_older(self._database, before_ms)

    async def expire_redacted(self) -> int:
        """Delete redacted content that is over its time; returns of how many events."""
        before = position_at(self._clock.now_ms() - self._redacted_content_kept_ms)
        deleted = 0
        while more := await self._retention.forget_redacted(before):
            deleted += more
        return deleted


class EventExpiry:
    """Drops events that are over the lifetime of their class.

    Args:
        database: where they are.
        partitions: those of `events`.
        clock: tells their age.
        observer: hears what went, and what did not.
    """

    def __init__(
        self, *, database: Database, partitions: Partitions, clock: Clock, observer: Observer
    ) -> None:
        self._database = database
        self._partitions = partitions
        self._clock = clock
        self._observer = observer
        self._backfilled: dict[int, tuple[int, int]] = {}  # how far each class has been looked through

    async def expire(self, retention_class: int, lifetime_ms: int) -> int:
        """Forget what is over the lifetime in one class; returns how many events.

        What cannot be dropped because somebody reads it for too long is dropped the next time.
        """
        assert retention_class > 0, "class 0 keeps for ever"
        if not await self._partitions.has_class(retention_class):
            return 0
        oldest_ms = self._clock.now_ms() - lifetime_ms
        bound = position_at(oldest_ms)
        forgotten = 0
        for partition in await self._partitions.over(retention_class, bound):
            forgotten += await self._drop(partition)
        forgotten += await self._walk(f"events_c{retention_class}_default", _FIRST, _older_than(bound))
        start = self._backfilled.get(retention_class, _FIRST)
        forgotten += await self._walk(
            f"events_c{retention_class}_backfilled", start, _sent_before(oldest_ms),
            batches_max=BACKFILLED_BATCHES_MAX, keep_place=lambda place: self._put(retention_class, place),
        )  # fmt: skip
        if forgotten:
            self._observer(EventsForgotten(retention_class, forgotten))
        return forgotten

    def _put(self, retention_class: int, place: tuple[int, int]) -> None:
        self._backfilled[retention_class] = place

    async def _drop(self, partition: Partition) -> int:
        forgotten = await self._walk(partition.name, _FIRST, lambda _: True, are_dropped=True)
        await self._partitions.drop(partition)
        return forgotten

    async def _walk(
        self, table: str, place: tuple[int, int], is_over: Callable[[Row], bool], *,
        batches_max: int | None = None, keep_place: Callable[[tuple[int, int]], None] | None = None,
        are_dropped: bool = False,
    ) -> int:  # fmt: skip
        """Forget events of one table in batches, in the order of its key."""
        forgotten = 0
        batches = 0
        columns = "position, room_nid, event_id" if are_dropped else "position, room_nid, event_id, json"
        while batches_max is None or batches < batches_max:
            batches += 1
            async with self._database.transaction() as transaction:
                await transaction.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
                rows = await transaction.fetch(
                    f"SELECT {columns} FROM {table} WHERE (room_nid, position) > (%b::bigint, %b::bigint)"
                    f" ORDER BY room_nid, position LIMIT {BATCH_EVENTS_MAX}",
                    *place,
                )
                gone = [row for row in rows if is_over(row)]
                forgotten += await forget_events(transaction, gone, are_dropped=are_dropped)
            place = (rows[-1][1], rows[-1][0]) if len(rows) == BATCH_EVENTS_MAX else _FIRST
            if keep_place is not None:
                keep_place(place)
            if len(rows) < BATCH_EVENTS_MAX:
                break
        return forgotten


async def forget_events(queries: Queries, events: Sequence[Row], *, are_dropped: bool = False) -> int:
    """Delete message events and what points at them; returns how many.

    The ends of a room's graph cannot go: the room's next event names them. They stay, in class 0, as a
    redaction would leave them.

    Args:
        queries: a transaction.
        events: rows that begin with position, room_nid and event_id.
        are_dropped: the events themselves go later, with their partition.
    """
    if not events:
        return 0
    ends = {row[2] for row in await queries.fetch(_EXTREMITIES, *_columns(events))}
    for row in events:
        if row[2] in ends:
            await _strip(queries, row)
    gone = [row for row in events if row[2] not in ends]
    if not gone:
        return 0
    columns = _columns(gone)
    # A partition that could not be dropped is walked again: what is gone already does not count.
    forgotten, *_ = [await queries.execute(statement, *columns) for statement in _POINTERS]
    if not are_dropped:
        await queries.execute(
            f"DELETE FROM events USING {_GONE} WHERE events.{_AT.format('events')}"
            " AND events.state_key_nid IS NULL",
            *columns,
        )
    return forgotten


async def _strip(queries: Queries, row: Row) -> None:
    position, room_nid, event_id = row[:3]
    found = await queries.fetch_one(
        "SELECT json, version FROM events JOIN rooms USING (room_nid)"
        " WHERE room_nid = %b::bigint AND position = %b::bigint",
        room_nid, position,
    )  # fmt: skip
    assert found is not None, "it was read in this transaction, and nobody else deletes events"
    rules = rules_for(found[1])
    assert rules is not None, f"room version {found[1]} was known when the room was stored"
    event = Event.parse(found[0], rules, event_id)
    await queries.execute(_STRIP, encode_for_rules(redact(event.pdu, rules), rules), room_nid, position)
    await queries.execute("UPDATE event_ids SET retention_class = 0 WHERE event_id = %b", event_id)
    await queries.execute(
        "DELETE FROM redacted_events WHERE room_nid = %b::bigint AND event_id = %b", room_nid, event_id
    )
    await queries.execute(
        "DELETE FROM relations WHERE room_nid = %b::bigint AND position = %b::bigint", room_nid, position
    )


def _columns(events: Sequence[Row]) -> list[list[object]]:
    return [[row[1] for row in events], [row[0] for row in events], [row[2] for row in events]]


def _older_than(bound: int) -> Callable[[Row], bool]:
    return lambda row: 0 <= row[0] <= bound


def _sent_before(ms: int) -> Callable[[Row], bool]:
    """Backfilled events have no position in time; what counts is when they say that they were sent."""

    def is_over(row: Row) -> bool:
        sent_ms = parse_json(row[3], strict=False).get("origin_server_ts")
        return not isinstance(sent_ms, int) or sent_ms <= ms

    return is_over
