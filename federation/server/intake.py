"""Where events of a room go: into the room, or, if it is not here, to those of ours who were invited to it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

from collections.abc import Mapping, Sequence
from typing import Any

from federation.server.room_queues import Outcome
from homeserver.rooms.ingest import Ingest
from homeserver.rooms.outsiders import Outsiders
from homeserver.rooms.residency import Residency

__all__ = ["Intake"]


class Intake:
    """Takes in events of rooms.

    Args:
        ingest: of rooms that are here.
        outsiders: of others.
        residency: tells which are here.
    """

    def __init__(self, *, ingest: Ingest, outsiders: Outsiders, residency: Residency) -> None:
        self._ingest = ingest
        self._outsiders = outsiders
        self._residency = residency

    async def receive(self, origin: str, room_id: str, pdus: Sequence[Any]) -> Mapping[str, Outcome]:
        """Take in events of one room that a server has sent.

        Returns:
            What has come of each, by ID.

        Raises:
            Forbidden: the room's access control list keeps the server out.
            Unavailable: they could not be stored; the same may be tried again.
        """
        if await self._residency.is_resident(room_id):
            return await self._ingest.receive(origin, room_id, pdus)
        return dict(await self._outsiders.receive(origin, room_id, pdus))
