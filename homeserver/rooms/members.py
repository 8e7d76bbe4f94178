"""Reading who is in a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers
"""

from typing import Any

from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.rooms.client_events import ClientEvents
from homeserver.rooms.sight import Sight
from storage.interning import Interning
from storage.tables.memberships import Memberships
from storage.tables.state import State

__all__ = ["Members", "profile_in"]


def profile_in(member: Event) -> dict[str, Any]:
    """Display name and avatar that a member event gives, if it does."""
    content = member.content
    found = {"display_name": content.get("displayname"), "avatar_url": content.get("avatar_url")}
    return {name: value for name, value in found.items() if isinstance(value, str)}


class Members:
    """Reads members for those who may see them.

    Args:
        sight: who may see what.
        state: the member events.
        memberships: the rooms of a user.
        interning: numbers of users.
        client_events: encodes events.
    """

    def __init__(
        self,
        *,
        sight: Sight,
        state: State,
        memberships: Memberships,
        interning: Interning,
        client_events: ClientEvents,
    ) -> None:
        self._sight = sight
        self._state = state
        self._memberships = memberships
        self._interning = interning
        self._client_events = client_events

    async def member_events(
        self,
        requester: Requester,
        room_id: str,
        *,
        at: int | None,
        membership: str | None,
        not_membership: str | None,
    ) -> list[bytes]:
        """The member events of a room, now or at a place in its timeline; for one who left, as of then.

        Raises:
            Forbidden: the user may not see the room.
        """
        view = await self._sight.view(room_id, requester.user_id)
        position = view.until if at is None or (view.until is not None and view.until < at) else at
        room_nid = view.room.room_nid
        if position is None:
            stored = await self._state.current(room_nid, ["m.room.member"])
        else:
            stored = await self._state.at(room_nid, position, ["m.room.member"])
        wanted = [
            one
            for one in stored
            if membership in {None, membership_of(one.event)} and not_membership != membership_of(one.event)
        ]
        history = await self._sight.visible_history(view.room, requester.user_id)
        return await self._client_events.encode(wanted, requester, history)

    async def joined_members(self, requester: Requester, room_id: str) -> dict[str, dict[str, Any]]:
        """Who is in a room, with name and avatar.

        Raises:
            Forbidden: the user is not in the room.
        """
        view = await self._sight.joined(room_id, requester.user_id)
        stored = await self._state.current(view.room.room_nid, ["m.room.member"])
        return {
            one.event.state_key: profile_in(one.event)
            for one in stored
            if one.event.state_key is not None and membership_of(one.event) == JOIN
        }

    async def joined_rooms(self, user_id: str) -> list[str]:
        """The rooms that a user is in."""
        users = await self._interning.existing("user", (user_id,))
        if user_id not in users:
            return []
        return [row.room_id for row in await self._memberships.of_user(users[user_id], (JOIN,))]
