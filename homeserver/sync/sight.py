"""Which events of a room a user may see: needed only where a timeline reaches back before the user's joining.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
"""

from homeserver.core.visibility import VisibleHistory
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
        history = VisibleHistory(visibilities, memberships)
        # One's own member events are always told: how else would one know that an invite was taken back?
        own = {position for position, _ in memberships}
        return lambda position: position in own or history.is_visible(position)
