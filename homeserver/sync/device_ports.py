"""What sync reads of devices and their keys when its caches do not know."""

from collections.abc import Collection, Sequence
from typing import Protocol

from storage.tables.device_lists import Moved
from storage.tables.one_time_keys import KeyCounts

__all__ = ["DeviceReads"]


class DeviceReads(Protocol):
    """Reads from the primary database. Rows may be ahead of what was published."""

    async def changed_after(self, user_id: str, after: int) -> Sequence[tuple[str, int]]:
        """(user ID, position) of the changes of device lists above a position that a user is told."""

    async def moved_after(self, user_id: str, after: int) -> Sequence[Moved]:
        """Whose member event changed above a position, also the user's own, in rooms of the user."""

    async def newly_shared(self, user_id: str, room_ids: Collection[str], after: int) -> Sequence[str]:
        """Those who are in rooms that a user has come into, and shared none up to a position.

        Those who never had any key may be left out.
        """

    async def no_longer_shared(
        self, user_id: str, joined: Collection[str], left: Collection[str], after: int
    ) -> Sequence[tuple[str, str, bool]]:
        """Those who share no room with a user, and may have been in rooms with them, by room.

        As `rooms_in_common` tells them: who was moved there above a position, or is in one that the user has
        left. Those who never had any key may be left out.
        """

    async def rooms_in_common(
        self, user_id: str, others: Collection[str], position: int
    ) -> Sequence[tuple[str, str, bool]]:
        """(room ID, user ID, whether they are there since) where a user and others may have been together.

        That is: as of a position. Of others than those who are there since, more is to be read to know it.
        """

    async def sharing(
        self, user_id: str, user_ids: Collection[str], until: int | None = None
    ) -> Collection[str]:
        """Those of some users who share a room with a user; if given, since a position at least."""

    async def key_counts(self, user_id: str, device_id: str) -> KeyCounts:
        """What a device has left of one-time keys, and which fallback keys are unused."""
