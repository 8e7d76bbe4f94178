"""Which events of a room a user may see: needed only where a timeline reaches back before the user's joining.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
"""

from bisect import bisect_right
from collections.abc import Sequence

from homeserver.core.visibility import VisibleHistory
from homeserver.sync.ports import SyncReads

__all__ = ["Sight", "Sights"]

MEMBERSHIPS = frozenset({"ban", "invite", "join", "knock", "leave"})


class Sight:
    """What one user may see of one room, and what the user was to the room, by position."""

    def __init__(
        self, visibilities: Sequence[tuple[int, str]], memberships: Sequence[tuple[int, str]]
    ) -> None:
        self._history = VisibleHistory(visibilities, memberships)
        self._positions = [position for position, _ in memberships]
        self._memberships = [
            b"leave",
            *[value.encode() if value in MEMBERSHIPS else b"leave" for _, value in memberships],
        ]
        # One's own member events are always told: how else would one know that an invite was taken back?
        self._own = frozenset(self._positions)

    def sees(self, position: int) -> bool:
        """Whether the user may see the event at a position."""
        return position in self._own or self._history.is_visible(position)

    def went(self, position: int) -> int | None:
        """Where the user last went out of the room, at or before a position; None if they never did."""
        place = bisect_right(self._positions, position)
        while place:
            if self._memberships[place - 1] == b"join" and self._memberships[place] != b"join":
                return self._positions[place - 1]
            place -= 1
        return None

    def membership(self, position: int) -> bytes:
        """The user's membership at an event, changes that it made included."""
        return self._memberships[bisect_right(self._positions, position)]


class Sights:
    """Reads the histories that decide."""

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def of(self, room_id: str, user_id: str) -> Sight:
        """What a user may see of a room."""
        memberships = await self._reads.membership_history(room_id, user_id)
        return Sight(await self._reads.visibility_history(room_id), memberships)
