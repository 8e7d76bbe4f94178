"""Which rooms this server takes part in: of the others it may know how they were when its users left.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

from storage.pool import Database
from storage.tables import remote_offers

__all__ = ["Residency"]


class Residency:
    """Knows the rooms that are here.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def is_resident(self, room_id: str) -> bool:
        """Say whether this server takes part in a room: a user of ours is in it, or nobody at all is."""
        return bool(await remote_offers.is_resident(self._database, room_id))

    async def is_stale(self, room_id: str) -> bool:
        """Say whether a room is known here as it was when the last user of ours left, while others stayed."""
        return await remote_offers.is_resident(self._database, room_id) is False
