"""Takes a user out of every room: what is left to do for one who is gone.

Spec: https://spec.matrix.org/v1.19/client-server-api/#account-deactivation
"""

from contextlib import suppress

from homeserver.core.content.member import INVITE, JOIN, KNOCK
from homeserver.core.errors import Forbidden
from homeserver.core.requester import Requester
from homeserver.rooms.membership import Membership
from storage.interning import Interning
from storage.tables.memberships import Memberships

__all__ = ["Departures"]

_NO_DEVICE = ""
_NO_SESSION = 0


class Departures:
    """Leaves rooms, refuses invitations and takes back knocks.

    Args:
        membership: does it.
        memberships: knows the rooms of a user.
        interning: numbers of users.
    """

    def __init__(self, *, membership: Membership, memberships: Memberships, interning: Interning) -> None:
        self._membership = membership
        self._memberships = memberships
        self._interning = interning

    async def leave_all(self, user_id: str) -> None:
        """Take a user out of every room.

        Raises:
            Unavailable: it could not be stored just now; what was left is left.
        """
        users = await self._interning.existing("user", (user_id,))
        if user_id not in users:
            return
        requester = Requester(user_id, _NO_DEVICE, _NO_SESSION)
        for row in await self._memberships.of_user(users[user_id], (JOIN, INVITE, KNOCK)):
            with suppress(Forbidden):  # somebody was faster
                await self._membership.leave(requester, row.room_id)
