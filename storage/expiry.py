"""Forgets what is kept for a time only."""

import asyncio

from homeserver.core.errors import MatrixError
from homeserver.core.positions import EPOCH_MS, make
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Observer
from storage.pool import Database
from storage.tables.transactions import Transactions

__all__ = ["TRANSACTIONS_KEPT_MS", "Expiry"]

TRANSACTIONS_KEPT_MS = 48 * 3_600_000
"""A client that lost its answer tries again within minutes, one that lost its network within a day or so."""

_INTERVAL_S = 3_600.0


class Expiry:
    """Deletes transaction IDs once no client will repeat them.

    Args:
        database: where they are.
        clock: tells their age.
        observer: hears of failures.
    """

    def __init__(self, database: Database, clock: Clock, observer: Observer) -> None:
        self._transactions = Transactions(database)
        self._clock = clock
        self._observer = observer

    async def run(self) -> None:
        """Delete for ever; to be started once, in the background."""
        while True:
            try:
                await self.expire()
            except MatrixError as error:
                self._observer(Failure(error))
            await asyncio.sleep(_INTERVAL_S)

    async def expire(self) -> int:
        """Delete what is over its time; returns how many rows."""
        oldest_ms = max(EPOCH_MS, self._clock.now_ms() - TRANSACTIONS_KEPT_MS)
        return await self._transactions.expire(make(oldest_ms, 0, 0))
