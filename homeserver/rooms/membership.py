"""Joining, inviting, leaving, kicking, banning, unbanning and forgetting.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-membership
"""

import asyncio
from contextlib import suppress
from typing import Any

from homeserver.core.content.member import BAN, INVITE, JOIN, KNOCK, LEAVE, membership_of
from homeserver.core.errors import Forbidden, InvalidParam, NotFound, UnknownError
from homeserver.core.identifiers import parse_user_id
from homeserver.core.requester import Requester
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.aliases import Directory
from homeserver.rooms.commands import Draft
from homeserver.rooms.ports import ProfileReader
from homeserver.rooms.registry import RoomRegistry
from storage.interning import Interning
from storage.tables.memberships import FORGET, Memberships
from storage.write import Write

__all__ = ["Membership", "member_content"]

_MEMBER = "m.room.member"
_SHOWN = ("displayname", "avatar_url")
# A join that was vouched for once needs that no more.
_RENEWED = frozenset((*_SHOWN, "join_authorised_via_users_server"))
_PRESENT = frozenset((JOIN, INVITE, KNOCK))


def member_content(
    membership: str, profile: dict[str, Any] | None = None, reason: str | None = None
) -> dict[str, Any]:
    """The content of a member event."""
    content: dict[str, Any] = {"membership": membership}
    for key in _SHOWN:
        if profile is not None and isinstance(profile.get(key), str):
            content[key] = profile[key]
    if reason is not None:
        content["reason"] = reason
    return content


class Membership:
    """Changes who is in a room.

    Args:
        registry: the rooms.
        directory: finds rooms by alias.
        profiles: names and avatars for member events.
        memberships: the rooms of a user.
        interning: numbers of users.
        server_name: ours.
    """

    def __init__(
        self,
        *,
        registry: RoomRegistry,
        directory: Directory,
        profiles: ProfileReader,
        memberships: Memberships,
        interning: Interning,
        server_name: str,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._profiles = profiles
        self._memberships = memberships
        self._interning = interning
        self._server_name = server_name

    async def join(self, requester: Requester, room: str, reason: str | None = None) -> str:
        """Join a room by its ID or an alias; returns its ID. Who is in it already stays as they are.

        Raises:
            Forbidden: the room does not let the user in.
            InvalidParam: it is neither a room ID nor an alias.
            NotFound: there is no such room here.
        """
        if not room.startswith(("!", "#")):
            raise InvalidParam("Give a room ID, which begins with !, or an alias, which begins with #.")
        room_id = await self._directory.find(room) if room.startswith("#") else room
        actor = await self._registry.actor(room_id)
        user_id = requester.user_id
        if actor.membership(user_id) == JOIN:
            await self._registry.settled(actor)
            return room_id
        profile = await self._profiles.profile_of(user_id)
        draft = Draft(_MEMBER, user_id, member_content(JOIN, profile, reason), user_id)

        def decide(now: RoomActor) -> Draft | None:
            return None if now.membership(user_id) == JOIN else draft

        await self._registry.send(room_id, draft, decide=decide)
        return room_id

    async def invite(
        self, requester: Requester, room_id: str, user_id: str, reason: str | None = None
    ) -> None:
        """Invite a user of ours.

        Raises:
            Forbidden: the room does not allow it, or the user is of another server.
            InvalidParam: it is no user ID.
        """
        self.check_invitable(user_id)
        profile = await self._profiles.profile_of(user_id)
        draft = Draft(_MEMBER, requester.user_id, member_content(INVITE, profile, reason), user_id)
        await self._registry.send(room_id, draft)

    def check_invitable(self, user_id: str) -> None:
        """Refuse whom this server cannot invite.

        Raises:
            Forbidden: a user of another server, none of which can be reached yet.
            InvalidParam: no user ID.
        """
        if _server_of(user_id) != self._server_name:
            raise Forbidden("Users of other servers cannot be invited yet.")

    async def leave(self, requester: Requester, room_id: str, reason: str | None = None) -> None:
        """Leave a room, refuse an invitation or take back a knock. Who has left already stays as they are.

        Raises:
            Forbidden: the user was never in the room, or is banned from it.
        """
        user_id = requester.user_id
        draft = Draft(_MEMBER, user_id, member_content(LEAVE, reason=reason), user_id)

        def decide(now: RoomActor) -> Draft | None:
            there = now.member(user_id)
            return None if there is not None and membership_of(there) == LEAVE else draft

        await self._registry.send(room_id, draft, decide=decide)

    async def kick(self, requester: Requester, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Remove somebody who is in the room, invited, or knocking.

        Raises:
            Forbidden: the room does not allow it, or they are not there.
            InvalidParam: it is no user ID.
        """
        _server_of(user_id)
        draft = Draft(_MEMBER, requester.user_id, member_content(LEAVE, reason=reason), user_id)

        def decide(now: RoomActor) -> Draft:
            if now.membership(user_id) not in _PRESENT:
                raise Forbidden("That user is not in this room.")
            return draft

        await self._registry.send(room_id, draft, decide=decide)

    async def ban(self, requester: Requester, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Ban somebody, who need not be in the room.

        Raises:
            Forbidden: the room does not allow it.
            InvalidParam: it is no user ID.
        """
        _server_of(user_id)
        draft = Draft(_MEMBER, requester.user_id, member_content(BAN, reason=reason), user_id)
        await self._registry.send(room_id, draft)

    async def unban(
        self, requester: Requester, room_id: str, user_id: str, reason: str | None = None
    ) -> None:
        """Lift a ban.

        Raises:
            Forbidden: the room does not allow it, or they are not banned.
            InvalidParam: it is no user ID.
        """
        _server_of(user_id)
        draft = Draft(_MEMBER, requester.user_id, member_content(LEAVE, reason=reason), user_id)

        def decide(now: RoomActor) -> Draft:
            if now.membership(user_id) != BAN:
                raise Forbidden("That user is not banned from this room.")
            return draft

        await self._registry.send(room_id, draft, decide=decide)

    async def forget(self, requester: Requester, room_id: str) -> None:
        """Hear no more of a room that the user has left.

        Raises:
            NotFound: the user was never in it.
            UnknownError: the user is in it, or invited.
        """
        actor = await self._existing(room_id)
        if actor.member(requester.user_id) is None:
            raise NotFound("You were never in this room.")
        if actor.membership(requester.user_id) in _PRESENT:
            raise UnknownError("Leave the room before you forget it.")
        user_nid = await self._interning.nid("user", requester.user_id)
        # If it fails the actor is dropped, so what was composed on that actor must fail with it.
        write = Write(order_key=room_id)
        write.add(FORGET, actor.room_nid, user_nid)
        # A client that goes away must not cancel the future: that would look like a failed write.
        await asyncio.shield(self._registry.append(actor, write))

    async def profile_changed(self, user_id: str) -> None:
        """Bring a user's name and avatar up to date in every room that they are in.

        Rooms that do not allow it are left as they are.
        """
        users = await self._interning.existing("user", (user_id,))
        if user_id not in users:
            return
        profile = await self._profiles.profile_of(user_id)
        for row in await self._memberships.of_user(users[user_id], (JOIN,)):
            await self._propagate(row.room_id, user_id, profile)

    async def _propagate(self, room_id: str, user_id: str, profile: dict[str, Any]) -> None:
        fields = {key: profile[key] for key in _SHOWN if isinstance(profile.get(key), str)}

        def decide(now: RoomActor) -> Draft | None:
            there = now.member(user_id)
            if there is None or membership_of(there) != JOIN:
                return None
            kept = {key: value for key, value in there.content.items() if key not in _RENEWED}
            content = kept | fields
            return None if content == there.content else Draft(_MEMBER, user_id, content, user_id)

        with suppress(Forbidden):
            await self._registry.send(room_id, Draft(_MEMBER, user_id, {}, user_id), decide=decide)

    async def _existing(self, room_id: str) -> RoomActor:
        try:
            return await self._registry.actor(room_id)
        except NotFound:
            raise NotFound("You were never in this room.") from None


def _server_of(user_id: str) -> str:
    try:
        return parse_user_id(user_id).server_name
    except ValueError as error:
        raise InvalidParam(str(error)) from None
