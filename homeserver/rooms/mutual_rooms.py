"""Which rooms two users are both in.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms
"""

from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.core.errors import InvalidParam
from homeserver.core.identifiers import parse_user_id
from homeserver.core.requester import Requester
from storage.interning import Interning
from storage.tables.shared_rooms import SharedRooms

__all__ = ["MutualRooms", "MutualRoomsPage"]

PAGE_ROOMS_MAX = 100
_TOKEN_DIGITS_MAX = 18


@dataclass(frozen=True, slots=True)
class MutualRoomsPage:
    """Some of the rooms that two users are both in.

    Attributes:
        joined: their IDs.
        count: how many there are in all.
        next_batch: token of the page after it, if there is one.
    """

    joined: Sequence[str]
    count: int
    next_batch: str | None


class MutualRooms:
    """Finds the rooms that two users are both in.

    Args:
        shared_rooms: knows them.
        interning: numbers of users.
    """

    def __init__(self, *, shared_rooms: SharedRooms, interning: Interning) -> None:
        self._shared_rooms = shared_rooms
        self._interning = interning

    async def page(self, requester: Requester, user_id: str, token: str | None) -> MutualRoomsPage:
        """Read a page of the rooms that somebody shares with the user who asks.

        Raises:
            InvalidParam: it is no user ID, or the user's own; or the token is not one that this server gave.
        """
        try:
            parse_user_id(user_id)
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if user_id == requester.user_id:
            raise InvalidParam("Ask for the rooms that you share with somebody else.")
        after = _parse(token)
        users = await self._interning.existing("user", (requester.user_id, user_id))
        if len(users) < 2:
            return MutualRoomsPage((), 0, None)
        pair = (users[requester.user_id], users[user_id])
        count = await self._shared_rooms.count_joined_by_both(*pair)
        rooms = await self._shared_rooms.joined_by_both(*pair, after_room_nid=after, limit=PAGE_ROOMS_MAX + 1)
        page = rooms[:PAGE_ROOMS_MAX]
        next_batch = f"r{page[-1][0]}" if len(rooms) > len(page) else None
        return MutualRoomsPage([room_id for _, room_id in page], count, next_batch)


def _parse(token: str | None) -> int:
    if token is None:
        return 0
    digits = token[1:]
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _TOKEN_DIGITS_MAX
    if not token.startswith("r") or not is_number:
        raise InvalidParam("The token is not one that this server gave: begin again without from.")
    return int(digits)
