"""Reading who is in a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers
"""

from contextlib import aclosing
from typing import Any

import orjson

from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_lists import StateLists
from storage.interning import Interning
from storage.tables.memberships import Memberships

__all__ = ["Members", "profile_in"]

_MEMBER = "m.room.member"


def profile_in(member: Event) -> dict[str, Any]:
    """Display name and avatar that a member event gives, if it does."""
    content = member.content
    found = {"display_name": content.get("displayname"), "avatar_url": content.get("avatar_url")}
    return {name: value for name, value in found.items() if isinstance(value, str)}


class Members:
    """Reads members for those who may see them.

    Args:
        sight: who may see what.
        memberships: the rooms of a user.
        interning: numbers of users.
        lists: reads member events.
    """

    def __init__(
        self,
        *,
        sight: Sight,
        memberships: Memberships,
        interning: Interning,
        lists: StateLists,
    ) -> None:
        self._sight = sight
        self._memberships = memberships
        self._interning = interning
        self._lists = lists

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

        They come in pieces, which are to be joined by commas.

        Raises:
            Forbidden: the user may not see the room.
        """
        view = await self._sight.view(room_id, requester.user_id)
        position = view.until if at is None or (view.until is not None and view.until < at) else at

        def is_wanted(event: Event) -> bool:
            there = membership_of(event)
            return membership in {None, there} and not_membership != there

        return await self._lists.encoded(
            requester, view, position=position, type_=_MEMBER, is_wanted=is_wanted
        )

    async def joined_members(self, requester: Requester, room_id: str) -> list[bytes]:
        """Who is in a room, with name and avatar: pieces of a JSON object, to be joined by commas.

        Raises:
            Forbidden: the user is not in the room.
        """
        view = await self._sight.joined(room_id, requester.user_id)
        pieces = []
        async with aclosing(self._lists.pages(view.room.room_nid, None, _MEMBER)) as pages:
            async for page in pages:
                joined = {
                    one.event.state_key: profile_in(one.event)
                    for one in page
                    if membership_of(one.event) == JOIN
                }
                if joined:
                    pieces.append(orjson.dumps(joined)[1:-1])
        return pieces

    async def joined_rooms(self, user_id: str) -> list[str]:
        """The rooms that a user is in."""
        users = await self._interning.existing("user", (user_id,))
        if user_id not in users:
            return []
        return [row.room_id for row in await self._memberships.of_user(users[user_id], (JOIN,))]
