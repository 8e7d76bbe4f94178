"""The one question that typing and receipts ask first: is the user in the room?"""

from homeserver.core.content.member import JOIN
from homeserver.core.errors import Forbidden
from storage.interning import Interning
from storage.pool import Database
from storage.tables.memberships import Memberships
from storage.tables.rooms import RoomRow, Rooms

__all__ = ["JoinedRooms"]


class JoinedRooms:
    """Looks up rooms for those who are in them.

    Args:
        database: where they are.
        interning: numbers of users.
    """

    def __init__(self, database: Database, interning: Interning) -> None:
        self._rooms = Rooms(database)
        self._memberships = Memberships(database)
        self._interning = interning

    async def find(self, room_id: str, user_id: str) -> RoomRow:
        """Find a room that a user is in.

        Raises:
            Forbidden: they are not, or there is no such room: which of them is not told.
        """
        room = await self.maybe(room_id, user_id)
        if room is None:
            raise Forbidden("You are not in this room, or it does not exist.")
        return room

    async def maybe(self, room_id: str, user_id: str) -> RoomRow | None:
        """Find a room that a user is in, if they are."""
        room = await self._rooms.find(room_id)
        users = await self._interning.existing("user", (user_id,))
        if room is not None and users:
            row = await self._memberships.one(room.room_nid, users[user_id])
            if row is not None and row.membership == JOIN:
                return room
        return None
