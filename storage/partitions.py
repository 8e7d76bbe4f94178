"""Makes the monthly partitions of `events` before they are needed."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from homeserver.core.errors import MatrixError
from homeserver.core.positions import make
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Level, Observation, Observer
from storage.pool import Database

__all__ = ["MONTHS_AHEAD", "PartitionMade", "Partitions"]

MONTHS_AHEAD = 2
_INTERVAL_S = 6 * 3600.0
_CLASSES = (
    "SELECT substring(relname FROM '^events_c(\\d+)$')::integer FROM pg_class"
    " WHERE relname ~ '^events_c\\d+$'"
)


@dataclass(frozen=True, slots=True)
class PartitionMade(Observation):
    """A partition of `events` was made."""

    level: ClassVar[Level] = Level.DEBUG
    name: str


class Partitions:
    """Keeps a partition ready for this month and the next ones, in every retention class.

    A month that has none yet is caught by the class's default partition; it then stays there, since moving
    its rows would block writers.

    Args:
        database: where they are.
        clock: tells which month it is.
        observer: hears of new ones, and of failures.
    """

    def __init__(self, database: Database, clock: Clock, observer: Observer) -> None:
        self._database = database
        self._clock = clock
        self._observer = observer

    async def run(self) -> None:
        """Make partitions for ever; to be started once, in the background."""
        while True:
            try:
                await self.make_ahead()
            except MatrixError as error:  # the default partition catches what comes meanwhile
                self._observer(Failure(error))
            await asyncio.sleep(_INTERVAL_S)

    async def make_ahead(self) -> list[str]:
        """Make those that are missing; returns their names."""
        now = datetime.fromtimestamp(self._clock.now_ms() / 1000, tz=UTC)
        made: list[str] = []
        for (retention_class,) in await self._database.fetch(_CLASSES):
            existing = await self._existing(retention_class)
            for ahead in range(MONTHS_AHEAD + 1):
                months = now.year * 12 + now.month - 1 + ahead
                name = f"events_c{retention_class}_{months // 12}_{months % 12 + 1:02}"
                if name not in existing and await self._make(retention_class, name, months):
                    made.append(name)
                    self._observer(PartitionMade(name))
        return made

    async def _existing(self, retention_class: int) -> set[str]:
        rows = await self._database.fetch(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = %b::text::regclass",
            f"events_c{retention_class}",
        )
        return {name for (name,) in rows}

    async def _make(self, retention_class: int, name: str, months: int) -> bool:
        """Make one partition, unless the default partition already has rows of its month."""
        parent = f"events_c{retention_class}"
        low, high = _month_start(months), _month_start(months + 1)
        async with self._database.transaction() as transaction:
            # Attaching locks the default partition for a moment: rather fail than make writers wait.
            await transaction.execute("SET LOCAL lock_timeout = 2000")
            await transaction.execute("SELECT pg_advisory_xact_lock(hashtext(%b))", parent)
            if await transaction.fetch_one("SELECT 1 FROM pg_class WHERE relname = %b", name):
                return False
            caught = await transaction.fetch_one(
                f"SELECT 1 FROM {parent}_default WHERE position >= {low} AND position < {high} LIMIT 1"
            )
            if caught is not None:
                return False
            # Made apart and then attached, which needs a weaker lock on the parent than making it in place.
            await transaction.execute(
                f"CREATE TABLE {name}"
                f" (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)"
            )
            await transaction.execute(
                f"ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})"
            )
        return True


def _month_start(months: int) -> int:
    start = datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
    return make(int(start.timestamp()) * 1000, 0, 0)
