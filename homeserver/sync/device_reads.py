"""The reads of devices and their keys, from PostgreSQL."""

from collections.abc import Collection, Sequence

from storage.interning import Interning
from storage.pool import Database
from storage.tables import device_lists, one_time_keys
from storage.tables.device_lists import Moved
from storage.tables.one_time_keys import KeyCounts

__all__ = ["StoredDeviceReads"]

NOBODY = 0


class StoredDeviceReads:
    """Reads committed rows; see `homeserver.sync.device_ports.DeviceReads`."""

    def __init__(self, database: Database, interning: Interning) -> None:
        self._database = database
        self._interning = interning

    async def changed_after(self, user_id: str, after: int) -> Sequence[tuple[str, int]]:
        """(user ID, position) of the changes of device lists above a position that a user is told."""
        return await device_lists.changed_after(self._database, user_id, await self._nid(user_id), after)

    async def moved_after(self, user_id: str, after: int) -> Sequence[Moved]:
        """Whose member event changed above a position, also the user's own, in rooms of the user."""
        return await device_lists.moved_after(self._database, await self._nid(user_id), after)

    async def newly_shared(self, user_id: str, room_ids: Collection[str], after: int) -> Sequence[str]:
        """Those who are in rooms that a user has come into, and shared none up to a position."""
        return await device_lists.newly_shared(self._database, await self._nid(user_id), room_ids, after)

    async def no_longer_shared(
        self, user_id: str, joined: Collection[str], left: Collection[str], after: int
    ) -> Sequence[tuple[str, str, bool]]:
        """Those who share no room with a user, and may have been in rooms with them."""
        nid = await self._nid(user_id)
        return await device_lists.no_longer_shared(self._database, nid, joined, left, after)

    async def rooms_in_common(
        self, user_id: str, others: Collection[str], position: int
    ) -> Sequence[tuple[str, str, bool]]:
        """(room ID, user ID, whether they are there since) where a user and others may have been together."""
        nid = await self._nid(user_id)
        return await device_lists.rooms_in_common(self._database, nid, others, position)

    async def sharing(
        self, user_id: str, user_ids: Collection[str], until: int | None = None
    ) -> Collection[str]:
        """Those of some users who share a room with a user; if given, since a position at least."""
        nid = await self._nid(user_id)
        if until is None:
            return await device_lists.sharing(self._database, nid, user_ids)
        return await device_lists.sharing(self._database, nid, user_ids, until)

    async def key_counts(self, user_id: str, device_id: str) -> KeyCounts:
        """What a device has left of one-time keys, and which fallback keys are unused."""
        return await one_time_keys.counts(self._database, user_id, device_id)

    async def _nid(self, user_id: str) -> int:
        return (await self._interning.existing("user", (user_id,))).get(user_id, NOBODY)
