"""What a user may see of a room: asked before anything of it is read out.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeserver.core.auth.selection import StateKey
from homeserver.core.content.history_visibility import WORLD_READABLE, history_visibility_of
from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.errors import Forbidden
from homeserver.core.event.pdu import Event
from homeserver.core.visibility import VisibleHistory
from homeserver.rooms.state_at import StateAt
from storage.interning import Interning
from storage.tables.erased_users import ErasedUsers
from storage.tables.events import HIDDEN, EventFlags, StoredEvent
from storage.tables.memberships import Memberships
from storage.tables.rooms import RoomRow, Rooms
from storage.tables.state import State

__all__ = ["RoomView", "Sight"]

_MEMBER = "m.room.member"
_VISIBILITY: StateKey = ("m.room.history_visibility", "")
_NOT_SHOWN = HIDDEN | EventFlags.OVER_LIFETIME
_FORBIDDEN = "You are not in this room, or it does not exist."


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room as one user may see it.

    Attributes:
        room: the room.
        membership: the user's membership now; None for one who never had any.
        until: the position at which the user left; None for one who sees the room as it is now.
    """

    room: RoomRow
    membership: str | None
    until: int | None

    @property
    def is_joined(self) -> bool:
        """Whether the user is in the room."""
        return self.membership == JOIN


class Sight:
    """Looks up who may see what.

    Args:
        rooms: the rooms.
        memberships: who is in them.
        state: their state.
        interning: numbers of users.
        state_at: the state before events.
        erased_users: whose words only those see who were there.
    """

    def __init__(
        self,
        *,
        rooms: Rooms,
        memberships: Memberships,
        state: State,
        interning: Interning,
        state_at: StateAt,
        erased_users: ErasedUsers,
    ) -> None:
        self._rooms = rooms
        self._memberships = memberships
        self._state = state
        self._interning = interning
        self._state_at = state_at
        self._erased_users = erased_users

    async def view(self, room_id: str, user_id: str) -> RoomView:
        """A room for somebody who is or was in it, or anybody if it is readable by the world.

        Raises:
            Forbidden: neither is so, or there is no such room: which of them is not told.
        """
        room = await self._rooms.find(room_id)
        if room is None:
            raise Forbidden(_FORBIDDEN)
        users = await self._interning.existing("user", (user_id,))
        row = await self._memberships.one(room.room_nid, users[user_id]) if user_id in users else None
        if row is not None and row.membership == JOIN:
            return RoomView(room, JOIN, None)
        membership = None if row is None else row.membership
        visibility = await self._state.current_one(room.room_nid, "m.room.history_visibility", "")
        if history_visibility_of(None if visibility is None else visibility.event) == WORLD_READABLE:
            return RoomView(room, membership, None)
        if row is None or row.is_forgotten:
            raise Forbidden(_FORBIDDEN)
        # Whoever was in the room once keeps what there was until they left, whatever came after that.
        past = await self._state.history_of(room.room_nid, "m.room.member", user_id)
        left = None
        for earlier, later in itertools.pairwise(past):
            if membership_of(earlier.event) == JOIN and membership_of(later.event) != JOIN:
                left = later.position
        if left is None:
            raise Forbidden(_FORBIDDEN)
        return RoomView(room, row.membership, left)

    async def joined(self, room_id: str, user_id: str) -> RoomView:
        """A room for somebody who is in it.

        Raises:
            Forbidden: they are not.
        """
        view = await self.view(room_id, user_id)
        if not view.is_joined:
            raise Forbidden("You are not in this room.")
        return view

    async def visible_history(self, room: RoomRow, user_id: str) -> VisibleHistory:
        """What a user may see of a room's timeline."""
        visibilities = await self._state.history_of(room.room_nid, "m.room.history_visibility", "")
        memberships = await self._state.history_of(room.room_nid, "m.room.member", user_id)
        return VisibleHistory(
            [(one.position, history_visibility_of(one.event)) for one in visibilities],
            [(one.position, membership_of(one.event)) for one in memberships],
            user_id,
        )

    async def visible(self, history: VisibleHistory, stored: Sequence[StoredEvent]) -> list[StoredEvent]:
        """Those events of one room that the user may see whose history this is, in their order.

        Of what erased users said, only those see the content who were in the room then.
        """
        before = await self._before_branched(history, stored)
        shown = [one for one in stored if not one.flags & _NOT_SHOWN and _is_visible(history, one, before)]
        erased = await self._erased_users.among({one.event.sender for one in shown})
        if not erased:
            return shown
        return [
            one._replace(event=one.event.pruned())
            if one.event.sender in erased and history.membership_at(one.position) != JOIN
            else one
            for one in shown
        ]

    async def state_after(
        self, stored: StoredEvent, keys: Sequence[StateKey]
    ) -> Mapping[StateKey, Event]:
        """Look up some keys in the state after an event that has a place."""
        group = stored.group_after
        assert group is not None, "what is shown has a place"
        return (await self._state_at.values_at(stored.room_nid, [group], keys))[group]

    async def whole_state_after(
        self, stored: StoredEvent, *, members: Sequence[str] | None = None
    ) -> list[Event]:
        """Read the state after an event that has a place; only the members among some users, if given."""
        group = stored.group_after
        assert group is not None, "what is shown has a place"
        return await self._state_at.whole(stored.room_nid, group, members=members)

    async def _before_branched(
        self, history: VisibleHistory, stored: Sequence[StoredEvent]
    ) -> dict[int, dict[StateKey, Event]]:
        """Look up what decides about events on branches in the states before them: by group."""
        groups = [
            one.state_group
            for one in stored
            if one.flags & EventFlags.BRANCHED and one.state_group is not None
        ]
        if not groups:
            return {}
        keys = (_VISIBILITY, (_MEMBER, history.user_id))
        return await self._state_at.values_at(stored[0].room_nid, groups, keys)


def _is_visible(
    history: VisibleHistory, stored: StoredEvent, before: Mapping[int, Mapping[StateKey, Event]]
) -> bool:
    state = None
    if stored.flags & EventFlags.BRANCHED and stored.state_group is not None:
        state = before.get(stored.state_group)
    if state is None:
        return history.is_visible(stored.position)
    event, own = stored.event, (_MEMBER, history.user_id)
    visibilities = [history_visibility_of(state.get(_VISIBILITY))]
    memberships = [membership_of(state.get(own))]
    if (event.type, event.state_key) == _VISIBILITY:
        visibilities.append(history_visibility_of(event))
    if (event.type, event.state_key) == own:
        memberships.append(membership_of(event))
    return history.is_visible_by(stored.position, visibilities, memberships)
