"""Makes the partitions of `events` before they are needed, and drops those whose time is over.

Class 0 keeps for ever: a month a partition. The other classes have a lifetime each, and partitions that are
short against it, so that hardly anything is kept for longer than it should.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from homeserver.core.errors import MatrixError, Unavailable
from homeserver.core.positions import EPOCH_MS, make
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Level, Observation, Observer
from storage.pool import Database, Transaction

__all__ = [
    "MONTHS_AHEAD", "Partition", "PartitionBusy", "PartitionDropped", "PartitionMade", "Partitions",
    "drop_partition", "make_partitions", "months", "partitions_over", "position_at",
]  # fmt: skip

MONTHS_AHEAD = 2
DAY_MS = 86_400_000
_WIDTHS_DAYS = ((14, 1), (120, 7))  # up to a lifetime of so many days, a partition of so many
_WIDTH_DAYS = 30
_AHEAD_MS = 4 * DAY_MS
"""Partitions are ready for at least so long: a server that cannot make any for a night loses nothing."""
_INTERVAL_S = 6 * 3600.0
_LOCK_TIMEOUT_MS = 500
"""Whoever waits for a lock on a table makes all wait who come after: rather give up and try again later."""
_LIKE = "LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES"
_EPOCH = datetime.fromtimestamp(EPOCH_MS / 1000, tz=UTC)
_BOUNDS = re.compile(r"FROM \('?(-?\d+)'?\) TO \('?(-?\d+)'?\)")


@dataclass(frozen=True, slots=True)
class PartitionBusy(Observation):
    """A partition should be dropped, but somebody was using it; it will be tried again."""

    name: str


@dataclass(frozen=True, slots=True)
class PartitionMade(Observation):
    """A partition was made."""

    level: ClassVar[Level] = Level.DEBUG
    name: str


@dataclass(frozen=True, slots=True)
class PartitionDropped(Observation):
    """A partition was dropped, since all in it was over its lifetime."""

    name: str


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of one class.

    Attributes:
        name: of the table.
        low: the first position that it may hold.
        high: the first one beyond.
    """

    name: str
    low: int
    high: int


class Partitions:
    """Keeps partitions ready in every retention class.

    A span that has none yet is caught by the class's default partition; it then stays there, since moving its
    rows would block writers.

    Args:
        database: where they are.
        clock: tells which month it is.
        observer: hears of new ones, and of failures.
    """

    def __init__(self, database: Database, clock: Clock, observer: Observer) -> None:
        self._database = database
        self._clock = clock
        self._observer = observer
        self._lifetimes_ms: Mapping[int, int] = {}

    async def run(self) -> None:
        """Make partitions for ever; to be started once, in the background."""
        while True:
            try:
                await self.make_ahead()
            except MatrixError as error:  # the default partition catches what comes meanwhile
                self._observer(Failure(error))
            await asyncio.sleep(_INTERVAL_S)

    async def use_classes(self, lifetimes_ms: Mapping[int, int]) -> None:
        """Make the tables of these classes where they are missing, and from now on their partitions too.

        Args:
            lifetimes_ms: class to lifetime; class 0 is always there.
        """
        self._lifetimes_ms = dict(lifetimes_ms)
        for retention_class in lifetimes_ms:
            await self._make_class(retention_class)
        await self.make_ahead()

    async def make_ahead(self) -> list[str]:
        """Make those that are missing; returns their names."""
        now_ms = self._clock.now_ms()
        made: list[str] = []
        wanted = {0: months("events_c0", now_ms)}
        wanted.update({one: _blocks(one, life, now_ms) for one, life in self._lifetimes_ms.items()})
        for retention_class, partitions in wanted.items():
            parent = f"events_c{retention_class}"
            made += await make_partitions(self._database, self._observer, parent, partitions)
        return made

    async def has_class(self, retention_class: int) -> bool:
        """Whether the tables of a class have been made."""
        row = await self._database.fetch_one(
            "SELECT to_regclass(%b::text) IS NOT NULL", f"events_c{retention_class}"
        )
        return row is not None and bool(row[0])

    async def over(self, retention_class: int, position: int) -> list[Partition]:
        """Find the partitions of a class all of whose events are at or below a position, oldest first."""
        return await partitions_over(self._database, f"events_c{retention_class}", position)

    async def drop(self, partition: Partition) -> bool:
        """Drop a partition with all that is in it; False if somebody reads it for too long: try again."""
        return await drop_partition(self._database, self._observer, partition)

    async def _make_class(self, retention_class: int) -> None:
        parent = f"events_c{retention_class}"
        async with self._database.transaction() as transaction:
            await _be_brief(transaction)
            await transaction.execute("SELECT pg_advisory_xact_lock(hashtext('events'))")
            if await _exists(transaction, parent):
                return
            await transaction.execute(
                f"CREATE TABLE {parent} ({_LIKE.format('events')}) PARTITION BY RANGE (position)"
            )
            await transaction.execute(f"CREATE TABLE {parent}_default PARTITION OF {parent} DEFAULT")
            await transaction.execute(
                f"CREATE TABLE {parent}_backfilled PARTITION OF {parent} FOR VALUES FROM (MINVALUE) TO (0)"
            )
            # Whole, and then attached, which needs a weaker lock on the parent than making it in place.
            await transaction.execute(
                f"ALTER TABLE events ATTACH PARTITION {parent} FOR VALUES IN ({retention_class})"
            )
        self._observer(PartitionMade(parent))

def position_at(ms: int) -> int:
    """The first position of a millisecond; that of the first millisecond there is, for those before it."""
    return make(max(ms, EPOCH_MS), 0, 0)


async def make_partitions(
    database: Database, observer: Observer, parent: str, wanted: Iterable[Partition]
) -> list[str]:
    """Make those partitions of a table that are missing; returns their names."""
    rows = await database.fetch(
        "SELECT relname::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = %b::text::regclass",
        parent,
    )
    existing = {name for (name,) in rows}
    made = []
    for partition in wanted:
        if partition.name not in existing and await _make(database, parent, partition):
            made.append(partition.name)
            observer(PartitionMade(partition.name))
    return made


async def partitions_over(database: Database, parent: str, position: int) -> list[Partition]:
    """Find the partitions of a table all of whose rows are at or below a position, oldest first."""
    rows = await database.fetch(
        "SELECT relname::text, pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits"
        " JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = to_regclass(%b::text)",
        parent,
    )
    found = []
    for name, bound in rows:
        match = _BOUNDS.search(bound)
        if match is not None and int(match[1]) >= 0 and int(match[2]) <= position + 1:
            found.append(Partition(name, int(match[1]), int(match[2])))
    return sorted(found, key=lambda one: one.low)


async def drop_partition(database: Database, observer: Observer, partition: Partition) -> bool:
    """Drop a partition with all that is in it; False if somebody reads it for too long: try again."""
    try:
        async with database.transaction() as transaction:
            await _be_brief(transaction)
            await transaction.execute(f"DROP TABLE IF EXISTS {partition.name}")
    except Unavailable:
        observer(PartitionBusy(partition.name))
        return False
    observer(PartitionDropped(partition.name))
    return True


async def _make(database: Database, parent: str, partition: Partition) -> bool:
    """Make one partition, unless the default partition already has rows of its span."""
    name = partition.name
    span = f"position >= {partition.low} AND position < {partition.high}"
    async with database.transaction() as transaction:
        # Attaching locks the default partition for a moment.
        await _be_brief(transaction)
        await transaction.execute("SELECT pg_advisory_xact_lock(hashtext(%b))", parent)
        if await _exists(transaction, name):
            return False
        if await transaction.fetch_one(f"SELECT 1 FROM {parent}_default WHERE {span} LIMIT 1"):
            return False
        await transaction.execute(f"CREATE TABLE {name} ({_LIKE.format(parent)})")
        await transaction.execute(
            f"ALTER TABLE {parent} ATTACH PARTITION {name}"
            f" FOR VALUES FROM ({partition.low}) TO ({partition.high})"
        )
    return True


async def _be_brief(transaction: Transaction) -> None:
    await transaction.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")


async def _exists(transaction: Transaction, name: str) -> bool:
    return await transaction.fetch_one("SELECT 1 FROM pg_class WHERE relname = %b", name) is not None


def months(parent: str, now_ms: int) -> Iterator[Partition]:
    """The months from this one on that a table which is parted by months should have partitions for."""
    now = datetime.fromtimestamp(now_ms / 1000, tz=UTC)
    this_month = now.year * 12 + now.month - 1
    for month in range(this_month, this_month + MONTHS_AHEAD + 1):
        name = f"{parent}_{month // 12}_{month % 12 + 1:02}"
        yield Partition(name, _month_start(month), _month_start(month + 1))


def _month_start(months: int) -> int:
    start = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return make(int(start.timestamp()) * 1000, 0, 0)


def _blocks(retention_class: int, lifetime_ms: int, now_ms: int) -> Iterator[Partition]:
    """The spans that a class with a lifetime should have partitions for.

    They begin at the lifetime before now, since a room that comes into the class brings its past with it.
    """
    days = next((width for upto, width in _WIDTHS_DAYS if lifetime_ms <= upto * DAY_MS), _WIDTH_DAYS)
    width_ms = days * DAY_MS
    first = max(0, now_ms - lifetime_ms - EPOCH_MS) // width_ms
    last = (now_ms + max(_AHEAD_MS, width_ms) - EPOCH_MS) // width_ms
    for block in range(first, last + 1):
        start_ms = EPOCH_MS + block * width_ms
        day = _EPOCH + timedelta(days=block * days)
        name = f"events_c{retention_class}_{day:%Y_%m_%d}"
        yield Partition(name, position_at(start_ms), position_at(start_ms + width_ms))
