"""Where events of a room go: into the room, or, if it is not here, to those of ours who were invited to it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from federation.server.room_queues import Outcome
from homeserver.core.changes import Change, EventChange
from homeserver.rooms.ingest import Ingest
from homeserver.rooms.outsiders import Outsiders
from homeserver.rooms.residency import Residency
from storage.cache import LruCache

__all__ = ["Intake"]


ROOMS_REMEMBERED_MAX = 50_000
_MEMBER = "m.room.member"


class Intake:
    """Takes in events of rooms. Subscribe `follow` to the bus: that rooms are here is remembered.

    Args:
        ingest: of rooms that are here.
        outsiders: of others.
        residency: tells which are here.
        arrival: waits for a room that a user of ours is about to bring here: what the others say meanwhile
            must not be lost; None: none ever is.
    """

    def __init__(
        self, *, ingest: Ingest, outsiders: Outsiders, residency: Residency,
        arrival: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        self._ingest = ingest
        self._outsiders = outsiders
        self._residency = residency
        self._arrival = arrival
        self._here: LruCache[str, bool] = LruCache(ROOMS_REMEMBERED_MAX)
        self._asking = 0
        self._changed: set[str] | None = None  # rooms whose members changed while somebody asked

    def follow(self, changes: Sequence[Change]) -> None:
        """Take in what was committed: whoever comes or goes, the room is asked for again."""
        for change in changes:
            if type(change) is EventChange and (
                change.event.type == _MEMBER or change.resets or change.removed or change.lost_members
            ):
                self._here.forget(change.room_id)
                if self._changed is not None:
                    self._changed.add(change.room_id)

    async def receive(self, origin: str, room_id: str, pdus: Sequence[Any]) -> Mapping[str, Outcome]:
        """Take in events of one room that a server has sent.

        Returns:
            What has come of each, by ID.

        Raises:
            Forbidden: the room's access control list keeps the server out.
            Unavailable: they could not be stored; the same may be tried again.
        """
        if await self._is_here(room_id):
            return await self._ingest.receive(origin, room_id, pdus)
        if self._arrival is not None:
            await self._arrival(room_id)
            if await self._is_here(room_id):
                return await self._ingest.receive(origin, room_id, pdus)
        return dict(await self._outsiders.receive(origin, room_id, pdus))

    async def _is_here(self, room_id: str) -> bool:
        if self._here.get(room_id):
            return True
        changed = self._changed = set() if self._changed is None else self._changed
        self._asking += 1
        try:
            is_here = await self._residency.is_resident(room_id)
        finally:
            self._asking -= 1
            if not self._asking:
                self._changed = None
        if is_here and room_id not in changed:
            self._here.put(room_id, True)  # noqa: FBT003 - a set of a bounded size
        return is_here
