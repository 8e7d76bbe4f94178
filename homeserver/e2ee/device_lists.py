"""Device lists: whoever shares a room with a user is told when the user's devices or keys change.

A change is noted in the transaction that makes it, and right after its commit goes through the journal into
the stream that syncs follow: so nobody is told of what is not there yet, and no crash leaves anybody untold.

Spec: https://spec.matrix.org/v1.19/client-server-api/#tracking-the-device-list-for-a-user
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress

from homeserver.core.changes import DeviceListChange
from homeserver.core.errors import Unavailable
from homeserver.e2ee.key_ports import DeviceListAudience
from storage.journal import Journal
from storage.pool import Database
from storage.tables import device_lists
from storage.tables.device_lists import Noted
from storage.write import Write

__all__ = ["DeviceLists"]

LEFT_OVER_MAX = 1_000
LOOK_INTERVAL_S = 60.0
NUMBER_MAX = 2**63 - 1


class DeviceLists:
    """Brings noted changes into the stream.

    Args:
        database: where they are noted.
        journal: gives them their place.
        audience: who is told.
    """

    def __init__(self, *, database: Database, journal: Journal, audience: DeviceListAudience) -> None:
        self._database = database
        self._journal = journal
        self._audience = audience
        self._running: set[asyncio.Task[None]] = set()  # holds them until they are done

    async def announce(self, noted: Sequence[Noted]) -> None:
        """Tell of changes that were committed; they are in the stream on return. One flush; no read if warm.

        Goes on if whoever waits goes away. If the stream takes nothing just now, it is told later: what has
        changed is committed all the same.
        """
        if noted:
            task = asyncio.ensure_future(self._announce_now_or_later(noted))
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            await asyncio.shield(task)

    async def announce_left_over(self, until: int = NUMBER_MAX) -> int:
        """Tell of what was committed and not told, up to a number of the outbox; returns the last number."""
        left = await device_lists.pending(self._database, until=until, limit=LEFT_OVER_MAX)
        await self._announce(left)
        return left[-1].number if left else 0

    async def run(self) -> None:
        """Tell of what a crash or a failure of the database left behind, for as long as the server runs."""
        while True:
            try:
                seen = await device_lists.pending(self._database, until=NUMBER_MAX, limit=LEFT_OVER_MAX)
                # What is new may be on its way; what is still there the next time is not.
                await asyncio.sleep(LOOK_INTERVAL_S)
                if seen:
                    await self.announce_left_over(seen[-1].number)
            except Unavailable:
                await asyncio.sleep(LOOK_INTERVAL_S)

    async def _announce_now_or_later(self, noted: Sequence[Noted]) -> None:
        with suppress(Unavailable):  # it is in the outbox: see `run`
            await self._announce(noted)

    async def _announce(self, noted: Sequence[Noted]) -> None:
        if not noted:
            return
        async with AsyncExitStack() as stack:
            for user_id in {one.user_id for one in noted if one.told_to is None}:
                await stack.enter_async_context(self._audience.admitted(user_id))
            write = Write()
            for one in noted:
                position = self._journal.next_position()
                device_lists.add(write, DeviceListChange(position, one.user_id, one.told_to), one)
            await self._journal.append(write)
