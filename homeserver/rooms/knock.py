"""Knocking: asking to be let into a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#knocking-on-rooms
"""

from typing import Any

from homeserver.core.content.join_rules import join_rule_of, lets_knock
from homeserver.core.content.member import KNOCK, LEAVE
from homeserver.core.requester import Requester
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.aliases import Directory
from homeserver.rooms.commands import Draft
from homeserver.rooms.joining import room_id_of
from homeserver.rooms.member_content import member_content
from homeserver.rooms.ports import ProfileReader
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.spam_limits import SpamLimits

__all__ = ["Knocking"]

_MEMBER = "m.room.member"


class Knocking:
    """Knocks on rooms. Who knocks is let in by an invitation, and refused by a kick.

    Args:
        registry: the rooms.
        directory: finds rooms by alias.
        profiles: names and avatars for member events.
        spam_limits: counts knocks as joins.
    """

    def __init__(
        self, *, registry: RoomRegistry, directory: Directory, profiles: ProfileReader,
        spam_limits: SpamLimits,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._directory = directory
        self._profiles = profiles
        self._spam_limits = spam_limits

    async def knock(self, requester: Requester, room: str, reason: str | None = None) -> str:
        """Knock on a room by its ID or an alias; returns its ID. Who knocks already stays as they are.

        Raises:
            Forbidden: the room lets nobody knock, or not this user.
            InvalidParam: it is neither a room ID nor an alias.
            LimitExceeded: the user knocks too often, or too many do.
            NotFound: there is no such room here.
        """
        room_id = await room_id_of(self._directory, room)
        content = member_content(KNOCK, await self._profiles.profile_of(requester.user_id), reason)
        await self.send(requester, room_id, content)
        return room_id

    async def send(self, requester: Requester, room_id: str, content: dict[str, Any]) -> str:
        """Knock with this content; returns the ID of the member event.

        Raises:
            Forbidden: the room lets nobody knock, or not this user.
            LimitExceeded: the user knocks too often, or too many do.
            NotFound: there is no such room here.
        """
        user_id = requester.user_id
        draft = Draft(_MEMBER, user_id, content, user_id)
        room = await self._registry.actor(room_id, (_MEMBER, user_id))
        join_rule = join_rule_of(room.state.get(("m.room.join_rules", "")))
        if room.membership(user_id) == LEAVE and lets_knock(join_rule, room.rules):
            self._spam_limits.count_join(requester, room_id)

        def decide(now: RoomActor) -> Draft | None:
            return None if now.membership(user_id) == KNOCK else draft

        return await self._registry.send(room_id, draft, decide=decide)
