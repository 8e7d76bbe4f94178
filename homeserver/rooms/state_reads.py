"""Reading a room's state: as it is for members, as it was when they left for those who did.

Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate
"""

from homeserver.core.errors import NotFound
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_lists import StateLists
from storage.tables.events import StoredEvent
from storage.tables.state import State

__all__ = ["StateReads"]


class StateReads:
    """Reads state for those who may see it.

    Args:
        sight: who may see what.
        state: the state.
        client_events: encodes it.
        lists: reads all of it.
    """

    def __init__(
        self, *, sight: Sight, state: State, client_events: ClientEvents, lists: StateLists
    ) -> None:
        self._sight = sight
        self._state = state
        self._client_events = client_events
        self._lists = lists

    async def all_of(self, requester: Requester, room_id: str) -> list[bytes]:
        """Every state event, encoded: in pieces to be joined by commas.

        Raises:
            Forbidden: the user may not see the room.
        """
        view = await self._sight.view(room_id, requester.user_id)
        return await self._lists.encoded(requester, view, position=view.until)

    async def one(self, requester: Requester, room_id: str, event_type: str, state_key: str) -> StoredEvent:
        """One state event.

        Raises:
            Forbidden: the user may not see the room.
            NotFound: there is no such state.
        """
        view = await self._sight.view(room_id, requester.user_id)
        room_nid = view.room.room_nid
        if view.until is None:
            stored = await self._state.current_one(room_nid, event_type, state_key)
        else:
            past = await self._state.at_of_keys(room_nid, view.until, [(event_type, state_key)])
            stored = past[0] if past else None
        if stored is None:
            raise NotFound("The room has no state of this type and state key.")
        return stored

    async def encoded(self, requester: Requester, room_id: str, stored: StoredEvent) -> bytes:
        """Encode a state event for a reader."""
        view = await self._sight.view(room_id, requester.user_id)
        history = await self._sight.visible_history(view.room, requester.user_id)
        (encoded,) = await self._client_events.encode([stored], requester, history)
        return encoded
