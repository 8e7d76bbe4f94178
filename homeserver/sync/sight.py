"""Which events of a room a user may see: needed only where a timeline reaches back before the user's joining.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
"""

from bisect import bisect_right
from collections.abc import Sequence

from homeserver.sync.ports import SyncReads
from homeserver.sync.timeline import Sees

__all__ = ["Sights"]


class Sights:
    """Reads the histories that decide."""

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def of(self, room_id: str, user_id: str) -> Sees:
        """What a user may see of a room, as a question about positions."""
        memberships = await self._reads.membership_history(room_id, user_id)
        visibilities = await self._reads.visibility_history(room_id)
        return _Sight(memberships, visibilities).sees


class _Sight:
    def __init__(
        self, memberships: Sequence[tuple[int, str]], visibilities: Sequence[tuple[int, str]]
    ) -> None:
        self._membership_positions = [position for position, _ in memberships]
        self._memberships = ["leave", *(membership for _, membership in memberships)]
        self._visibility_positions = [position for position, _ in visibilities]
        self._visibilities = ["shared", *(visibility for _, visibility in visibilities)]
        self._last_join = max((position for position, each in memberships if each == "join"), default=0)

    def sees(self, position: int) -> bool:
        # An event that changes membership or visibility is seen if either what was before or after allows it.
        index = bisect_right(self._membership_positions, position)
        memberships = {self._memberships[index]}
        if index and self._membership_positions[index - 1] == position:
            # One's own member event is always seen: how else would one know?
            return True
        index = bisect_right(self._visibility_positions, position)
        visibilities = {self._visibilities[index]}
        if index and self._visibility_positions[index - 1] == position:
            visibilities.add(self._visibilities[index - 1])
        if "join" in memberships or "world_readable" in visibilities:
            return True
        if "shared" in visibilities and position < self._last_join:
            return True
        return "invited" in visibilities and "invite" in memberships
