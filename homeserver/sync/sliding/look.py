"""One look at the streams for one connection: who looks, from where, up to where."""

from dataclasses import dataclass

from homeserver.core.filters import Filter
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.sync.live_users import LiveUser
from homeserver.sync.request import SyncRequest, Window
from homeserver.sync.sliding.own_rooms import Marks

__all__ = ["Look"]

NO_FILTER = Filter()


@dataclass(slots=True)  # not frozen, for its cost
class Look:
    """What one answer is about. Not to be changed.

    Attributes:
        requester: who asks.
        user: what is known of them.
        marks: what they have noted of rooms.
        since: up to where the client has been told; None for a connection that begins.
        now: up to where to tell.
        now_ms: wall time, for the age of events.
    """

    requester: Requester
    user: LiveUser
    marks: Marks
    since: SyncToken | None
    now: SyncToken
    now_ms: int

    def window(self, timeline_limit: int, bound: SyncToken | None) -> Window:
        """The window of one room, of which the client has what is up to `bound`."""
        request = SyncRequest(
            self.requester, filter=NO_FILTER, use_state_after=True, timeline_limit_default=timeline_limit
        )
        return Window(request, self.user, bound, self.now, self.now, self.now_ms)
