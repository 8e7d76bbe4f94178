"""Takes guests out of rooms that want no guests any more.

Spec: https://spec.matrix.org/v1.19/client-server-api/#guest-access
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from homeserver.core.changes import Change, EventChange
from homeserver.core.content.guest_access import GUEST_ACCESS, lets_guests_in
from homeserver.core.errors import Forbidden
from homeserver.core.requester import Requester
from homeserver.rooms.membership import Membership
from homeserver.rooms.registry import RoomRegistry
from homeserver.runtime.observation import Failure, Observer
from homeserver.runtime.tasks import end_if_cancelled
from storage.pool import Database
from storage.tables import guests

__all__ = ["GuestRemoval"]

_NO_DEVICE = ""
_NO_SESSION = 0


class GuestRemoval:
    """Watches the rooms' guest access.

    Args:
        database: knows the guests.
        registry: knows the rooms.
        membership: lets guests leave.
        observer: told of what fails.
    """

    def __init__(
        self, *, database: Database, registry: RoomRegistry, membership: Membership, observer: Observer
    ) -> None:
        self._database = database
        self._registry = registry
        self._membership = membership
        self._observer = observer
        self._to_check: set[str] = set()
        self._looks_everywhere = False
        self._wake = asyncio.Event()

    def follow(self, changes: Sequence[Change]) -> None:
        """Take note of changes that were committed: a subscriber of the bus."""
        for change in changes:
            if isinstance(change, EventChange) and _concerns(change):
                self._to_check.add(change.room_id)
                self._wake.set()

    async def run(self) -> None:
        """Do for ever what is to be done; to be started once, in the background."""
        self._looks_everywhere = True
        while True:
            self._wake.clear()
            try:
                await self.work()
            except Exception as error:  # noqa: BLE001 - what fails now is done with the next change
                self._observer(Failure(error))
            end_if_cancelled()
            await self._wake.wait()

    async def work(self) -> None:
        """Look at the rooms that changed.

        Raises:
            Unavailable: storage does not answer; the rooms are looked at again with the next change.
        """
        if self._looks_everywhere:
            # What changed just before a restart may not have been done.
            self._to_check.update(await guests.rooms_with_any(self._database))
            self._looks_everywhere = False
        while self._to_check:
            room_id = next(iter(self._to_check))
            members = await guests.in_room(self._database, room_id)
            if members:
                await self._remove(room_id, members)
            self._to_check.discard(room_id)

    async def _remove(self, room_id: str, members: Sequence[str]) -> None:
        room = await self._registry.actor(room_id)
        if lets_guests_in(room.state.get((GUEST_ACCESS, ""))):
            return
        for user_id in members:
            with suppress(Forbidden):  # gone already
                await self._membership.leave(
                    Requester(user_id, _NO_DEVICE, _NO_SESSION), room_id, "This room lets no guests in."
                )


def _concerns(change: EventChange) -> bool:
    if change.event.type == GUEST_ACCESS:
        return True
    return any(event.type == GUEST_ACCESS for event in change.resets) or (GUEST_ACCESS, "") in change.removed
