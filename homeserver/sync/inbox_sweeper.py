"""Deletes what devices have acknowledged: many at once, and a moment later, since nobody waits for it."""

import asyncio

from homeserver.core.errors import MatrixError
from homeserver.runtime.observation import Failure, Observer
from homeserver.sync.live_inboxes import LiveInboxes
from storage.pool import Database
from storage.tables import to_device

__all__ = ["InboxSweeper"]

DEVICES_PER_SWEEP_MAX = 500
_INTERVAL_S = 1.0


class InboxSweeper:
    """Lets storage forget what `LiveInboxes` has noted.

    What is not deleted because the process ended before is deleted when its device next syncs: its token says
    that it has been told.

    Args:
        database: where the messages are.
        inboxes: knows what was acknowledged.
        observer: hears of failures.
    """

    def __init__(self, database: Database, inboxes: LiveInboxes, observer: Observer) -> None:
        self._database = database
        self._inboxes = inboxes
        self._observer = observer

    async def run(self) -> None:
        """Delete for ever; to be started once, in the background."""
        while True:
            await self.sweep()
            await asyncio.sleep(_INTERVAL_S)

    async def sweep(self) -> int:
        """Delete what was acknowledged so far; returns how many messages."""
        deleted = 0
        while told := self._inboxes.take_acknowledged(DEVICES_PER_SWEEP_MAX):
            try:
                deleted += await to_device.delete(self._database, told)
            except MatrixError as error:
                self._observer(Failure(error))
                for user_id, device_id, since in told:
                    self._inboxes.note_acknowledged((user_id, device_id), since)
                break
        return deleted
