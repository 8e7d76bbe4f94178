"""Knocking: asking to be let into a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#knocking-on-rooms
"""

from collections.abc import Sequence
from typing import Any

from homeserver.core.content.join_rules import join_rule_of, lets_knock
from homeserver.core.content.member import KNOCK, LEAVE
from homeserver.core.requester import Requester
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.member_content import member_content
from homeserver.rooms.ports import ProfileReader
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.remote_rooms import RemoteRooms
from homeserver.rooms.room_names import RoomNames
from homeserver.rooms.spam_limits import SpamLimits

__all__ = ["Knocking"]

_MEMBER = "m.room.member"


class Knocking:
    """Knocks on rooms. Who knocks is let in by an invitation, and refused by a kick.

    Args:
        registry: the rooms.
        names: finds rooms.
        remote_rooms: knocks on those that are not here.
        profiles: names and avatars for member events.
        spam_limits: counts knocks as joins.
    """

    def __init__(
        self, *, registry: RoomRegistry, names: RoomNames, remote_rooms: RemoteRooms,
        profiles: ProfileReader, spam_limits: SpamLimits,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._names = names
        self._remote_rooms = remote_rooms
        self._profiles = profiles
        self._spam_limits = spam_limits

    async def knock(
        self, requester: Requester, room: str, reason: str | None = None, *, via: Sequence[str] = ()
    ) -> str:
        """Knock on a room by its ID or an alias; returns its ID. Who knocks already stays as they are.

        Args:
            requester: who knocks.
            room: room ID or alias.
            reason: why.
            via: servers that may be in the room, if it is not here.

        Raises:
            Forbidden: the room lets nobody knock, or not this user.
            InvalidParam: it is neither a room ID nor an alias.
            LimitExceeded: the user knocks too often, or too many do.
            NotFound: there is no such room here, and no other server is known that is in it.
            RemoteRefused, Unavailable: the room is not here, and no other server takes the knock.
        """
        room_id, servers = await self._names.find(room, via)
        content = member_content(KNOCK, await self._profiles.profile_of(requester.user_id), reason)
        await self.send(requester, room_id, content, servers)
        return room_id

    async def send(
        self, requester: Requester, room_id: str, content: dict[str, Any], via: Sequence[str] = ()
    ) -> str:
        """Knock with this content; returns the ID of the member event.

        Raises:
            Forbidden: the room lets nobody knock, or not this user.
            LimitExceeded: the user knocks too often, or too many do.
            NotFound: there is no such room here.
        """
        user_id = requester.user_id
        if not await self._remote_rooms.residency.is_resident(room_id):
            self._spam_limits.count_join(requester, room_id)
            event_id = await self._remote_rooms.knock(user_id, room_id, via, content)
            if event_id is not None:
                return event_id
        draft = Draft(_MEMBER, user_id, content, user_id)
        room = await self._registry.actor(room_id, (_MEMBER, user_id))
        join_rule = join_rule_of(room.state.get(("m.room.join_rules", "")))
        if room.membership(user_id) == LEAVE and lets_knock(join_rule, room.rules):
            self._spam_limits.count_join(requester, room_id)

        def decide(now: RoomActor) -> Draft | None:
            return None if now.membership(user_id) == KNOCK else draft

        return await self._registry.send(room_id, draft, decide=decide)
