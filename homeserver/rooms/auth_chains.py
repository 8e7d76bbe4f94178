"""What allows events: their auth chains, as other servers want to see them.

Spec: https://spec.matrix.org/v1.19/server-server-api/#auth-chain
"""

from collections.abc import Collection

from homeserver.core.event.pdu import Event
from storage.tables.events import Events

__all__ = ["AuthChains"]


class AuthChains:
    """Finds them.

    Args:
        events: what is stored.
    """

    def __init__(self, events: Events) -> None:
        self._events = events

    async def of(self, room_nid: int, nids: Collection[int]) -> set[int]:
        """Number all that is in the auth chains of state events, without the events themselves."""
        found: set[int] = set()
        level = set(nids)
        while level:
            above = await self._events.auth_nids(room_nid, level)
            level = {nid for of_one in above.values() for nid in of_one} - found
            found |= level
        return found

    async def events(self, room_nid: int, nids: Collection[int]) -> list[Event]:
        """Read state events by their numbers."""
        return [one.event for one in (await self._events.by_nids(room_nid, nids)).values()]
