"""Joins the branches of a room's graph when there are many: each costs whoever resolves the room's state.

Any event of ours joins them. Where nobody says anything, one that clients never see does it in a user's name.
"""

from contextlib import suppress

from homeserver.core.errors import Forbidden
from homeserver.rooms.commands import Draft
from homeserver.rooms.policies import PolicyRefused, PolicyUnavailable
from homeserver.rooms.registry import RoomRegistry
from storage.tables.memberships import Memberships

__all__ = ["BRANCHES_MAX", "MERGE", "NEVER_SHOWN", "Merging"]

MERGE = "org.isthmus.merge"
NEVER_SHOWN = frozenset((MERGE, "org.matrix.dummy_event"))
"""COMPAT: other servers join branches by events of another type, which their clients are not shown either."""

BRANCHES_MAX = 10
_SENDERS_MAX = 10
"""Users who are tried: who is in the room may lack the power to send such an event."""


class Merging:
    """Joins branches.

    Args:
        registry: the rooms.
        memberships: who of ours is in them.
    """

    def __init__(self, *, registry: RoomRegistry, memberships: Memberships) -> None:
        self._registry = registry
        self._memberships = memberships

    async def merge(self, room_id: str) -> bool:
        """Join the branches of a room, if they are too many and one of ours may send to it.

        Raises:
            NotFound: there is no such room here.
            Unavailable: it was not stored; the same may be tried again.
        """
        room = await self._registry.actor(room_id)
        if len(room.extremities) <= BRANCHES_MAX:
            return False
        for user_id in await self._memberships.local_joined(room.room_nid, limit=_SENDERS_MAX):
            with suppress(Forbidden, PolicyRefused, PolicyUnavailable):
                await self._registry.send(room_id, Draft(MERGE, user_id, {}, is_withheld=True))
                return True
        return False
