"""Makes the partitions of `device_inboxes` before they are needed, and drops those that nobody comes for."""

import asyncio

from homeserver.core.errors import MatrixError
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Observer
from storage.partitions import drop_partition, make_partitions, months, partitions_over, position_at
from storage.pool import Database
from storage.tables import received_messages, to_device

__all__ = ["TRANSACTIONS_KEPT_MS", "InboxPartitions"]

TABLE = "device_inboxes"
_EARLIER_TABLE = "to_device"
"""Gets no more partitions, and loses those that it has."""

TRANSACTIONS_KEPT_MS = 48 * 3_600_000
"""As long as those of events: a client tries again within minutes, or a day or so if its network is gone."""
_INTERVAL_S = 3_600.0


class InboxPartitions:
    """Keeps the table of messages to devices in months; forgets what waited for too long.

    Args:
        database: where it is.
        clock: tells which month it is.
        observer: hears of new ones, of dropped ones and of failures.
        kept_ms: messages wait for so long at least; 0: for ever.
    """

    def __init__(self, database: Database, clock: Clock, observer: Observer, *, kept_ms: int) -> None:
        self._database = database
        self._clock = clock
        self._observer = observer
        self._kept_ms = kept_ms

    async def run(self) -> None:
        """Make and drop partitions for ever; to be started once, in the background."""
        while True:
            try:
                await self.make_ahead()
                await self.expire()
            except MatrixError as error:  # the default partition catches what comes meanwhile
                self._observer(Failure(error))
            await asyncio.sleep(_INTERVAL_S)

    async def make_ahead(self) -> list[str]:
        """Make those that are missing; returns their names."""
        wanted = months(TABLE, self._clock.now_ms())
        return await make_partitions(self._database, self._observer, TABLE, wanted)

    async def expire(self) -> list[str]:
        """Drop those that are over their time, and forget old transactions; returns which were dropped."""
        now_ms = self._clock.now_ms()
        await to_device.expire_transactions(self._database, position_at(now_ms - TRANSACTIONS_KEPT_MS))
        await received_messages.expire(self._database, position_at(now_ms - TRANSACTIONS_KEPT_MS))
        if not self._kept_ms:
            return []
        bound = position_at(now_ms - self._kept_ms)
        await to_device.expire_unparted(self._database, bound)
        over = [
            *await partitions_over(self._database, _EARLIER_TABLE, bound),
            *await partitions_over(self._database, TABLE, bound),
        ]
        return [one.name for one in over if await drop_partition(self._database, self._observer, one)]
