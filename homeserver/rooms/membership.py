"""Inviting, leaving, kicking, banning, unbanning and forgetting; and setting a membership as state.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-membership
"""

import asyncio
from contextlib import suppress
from typing import Any

from homeserver.core.changes import ForgetChange
from homeserver.core.content.member import BAN, INVITE, JOIN, KNOCK, LEAVE, membership_in, membership_of
from homeserver.core.errors import BadJson, Forbidden, InvalidParam, NotFound, UnknownError
from homeserver.core.identifiers import parse_user_id
from homeserver.core.requester import Requester
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.invitees import Invitees
from homeserver.rooms.joining import Joining
from homeserver.rooms.knock import Knocking
from homeserver.rooms.member_content import member_content, with_profile
from homeserver.rooms.ports import ProfileReader
from homeserver.rooms.registry import Decide, RoomRegistry
from homeserver.rooms.remote_rooms import RemoteRooms
from homeserver.rooms.spam_limits import SpamLimits
from storage.tables.memberships import FORGET, Memberships
from storage.tables.thread_subscriptions import THREAD_SUBSCRIPTIONS_FORGET
from storage.write import Write

__all__ = ["Membership"]

_MEMBER = "m.room.member"
_AUTHORISED = "join_authorised_via_users_server"
_PRESENT = frozenset((JOIN, INVITE, KNOCK))
_NOT_HERE = "You are not in this room, or it does not exist."


class Membership:
    """Changes who is in a room.

    Args:
        registry: the rooms.
        joining: lets users in.
        knocking: knocks.
        profiles: names and avatars for member events.
        remote_rooms: does the same in rooms that are not here.
        memberships: the rooms of a user.
        spam_limits: counts invitations.
        invitees: knows who can be invited.
    """

    def __init__(
        self,
        *,
        registry: RoomRegistry,
        joining: Joining,
        knocking: Knocking,
        profiles: ProfileReader,
        remote_rooms: RemoteRooms,
        memberships: Memberships,
        spam_limits: SpamLimits,
        invitees: Invitees,
    ) -> None:
        self._registry = registry
        self._joining = joining
        self._knocking = knocking
        self._profiles = profiles
        self._remote_rooms = remote_rooms
        self._memberships = memberships
        self._interning = registry.interning
        self._spam_limits = spam_limits
        self._invitees = invitees

    async def set_member(
        self, requester: Requester, room_id: str, user_id: str, content: dict[str, Any]
    ) -> str:
        """Set a member event as state, by the rules of the endpoint for that change; returns its ID.

        Raises:
            BadJson: there is no such membership.
            Forbidden: the room does not allow it.
            InvalidParam: it is no user ID.
            InviteBlocked: the user wants no invitations.
            LimitExceeded: too many invitations or joins.
            UnableToGrantJoin: nobody who is here may let the user in.
        """
        _server_of(user_id)
        # Our signature would vouch for whatever a client says here.
        content = {key: value for key, value in content.items() if key != _AUTHORISED}
        membership, is_own = membership_in(content), user_id == requester.user_id
        try:
            if membership == JOIN and is_own:
                return await self._joining.enter(
                    requester, room_id, content, lambda there: None if there.content == content else content
                )
            if membership == KNOCK and is_own:
                return await self._knocking.send(requester, room_id, content)
        except NotFound:
            raise Forbidden(_NOT_HERE) from None
        if membership == INVITE:
            return await self._invite(requester, room_id, user_id, content)
        if membership == LEAVE and is_own:
            return await self._leave(room_id, user_id, content)
        draft = Draft(_MEMBER, requester.user_id, content, user_id)
        decide: Decide
        if membership == LEAVE:
            decide = _removing(draft, _PRESENT | {BAN})
        elif membership in {BAN, JOIN, KNOCK}:
            decide = _unless_same(draft)  # to join or knock for somebody else the room refuses
        else:
            raise BadJson("The membership must be ban, invite, join, knock or leave.")
        return await self._registry.send(room_id, draft, decide=decide)

    async def invite(
        self, requester: Requester, room_id: str, user_id: str, reason: str | None = None
    ) -> None:
        """Invite a user. Who is invited already stays as they are.

        Raises:
            Forbidden: the room does not allow it.
            InvalidParam: it is no user ID.
            InviteBlocked: the user wants no invitations.
            LimitExceeded: too many invitations, from this user, to that one, or to the room.
            RemoteRefused, Unavailable: the user is of another server, which does not want it or is silent.
        """
        await self._invitees.check(user_id)
        content = member_content(INVITE, await self._profiles.profile_of(user_id), reason)
        await self._invite(requester, room_id, user_id, content)

    async def _invite(self, requester: Requester, room_id: str, user_id: str, content: dict[str, Any]) -> str:
        await self._invitees.check(user_id)
        issuer = requester.user_id
        draft = Draft(_MEMBER, issuer, content, user_id)
        try:
            room = await self._registry.actor(room_id, (_MEMBER, issuer), (_MEMBER, user_id))
        except NotFound:
            raise Forbidden(_NOT_HERE) from None
        if _may_invite(room, issuer) and room.membership(user_id) in {LEAVE, KNOCK}:
            # Those who may not invite must not use up what the room may.
            self._spam_limits.count_invite(requester, room_id, user_id)

        def decide(now: RoomActor) -> Draft | None:
            return None if now.membership(user_id) == INVITE and _may_invite(now, issuer) else draft

        inviting = self._remote_rooms.inviting
        if inviting.is_remote(user_id) and decide(room) is not None:
            return await inviting.invite(draft, room_id)
        return await self._registry.send(room_id, draft, decide=decide)

    async def leave(self, requester: Requester, room_id: str, reason: str | None = None) -> None:
        """Leave a room, refuse an invitation or take back a knock. Who has left already stays as they are.

        Raises:
            Forbidden: the user was never in the room, or is banned from it.
        """
        await self._leave(room_id, requester.user_id, member_content(LEAVE, reason=reason))

    async def _leave(self, room_id: str, user_id: str, content: dict[str, Any]) -> str:
        event_id = await self._remote_rooms.leave(user_id, room_id, content)
        if event_id is not None:
            return event_id
        draft = Draft(_MEMBER, user_id, content, user_id)
        return await self._registry.send(room_id, draft, decide=_leaving(draft))

    async def kick(self, requester: Requester, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Remove somebody who is in the room, invited, or knocking.

        Raises:
            Forbidden: the room does not allow it, or they are not there.
            InvalidParam: it is no user ID.
        """
        _server_of(user_id)
        draft = Draft(_MEMBER, requester.user_id, member_content(LEAVE, reason=reason), user_id)

        await self._registry.send(room_id, draft, decide=_removing(draft, _PRESENT))

    async def ban(self, requester: Requester, room_id: str, user_id: str, reason: str | None = None) -> None:
        """Ban somebody, who need not be in the room. Who is banned so already stays as they are.

        Raises:
            Forbidden: the room does not allow it.
            InvalidParam: it is no user ID.
        """
        _server_of(user_id)
        draft = Draft(_MEMBER, requester.user_id, member_content(BAN, reason=reason), user_id)
        await self._registry.send(room_id, draft, decide=_unless_same(draft))

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
        actor = None
        with suppress(NotFound):
            actor = await self._registry.actor(room_id, (_MEMBER, requester.user_id))
        user_nid = await self._interning.nid("user", requester.user_id)
        row = await self._registry.rooms.find(room_id)
        # As stored, since of rooms that are not here the actor knows nothing, or nothing new.
        present = None if row is None else await self._memberships.one(row.room_nid, user_nid)
        if row is None or present is None:
            raise NotFound("You were never in this room.")
        if present.membership in _PRESENT:
            raise UnknownError("Leave the room before you forget it.")
        # If it fails the actor is dropped, so what was composed on that actor must fail with it.
        write = Write(order_key=room_id)
        write.add(FORGET, row.room_nid, user_nid)
        write.add(THREAD_SUBSCRIPTIONS_FORGET, requester.user_id, room_id)
        position = self._registry.journal.next_position()
        write.changes.append(ForgetChange(position, room_id, requester.user_id))
        journal = self._registry.journal
        committed = journal.append(write) if actor is None else self._registry.append(actor, write)
        # A client that goes away must not cancel the future: that would look like a failed write.
        await asyncio.shield(committed)

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
        def decide(now: RoomActor) -> Draft | None:
            there = now.member(user_id)
            if there is None or membership_of(there) != JOIN:
                return None
            content = with_profile(there.content, profile)
            return None if content is None else Draft(_MEMBER, user_id, content, user_id)

        with suppress(Forbidden):
            await self._registry.send(room_id, Draft(_MEMBER, user_id, {}, user_id), decide=decide)


def _server_of(user_id: str) -> str:
    try:
        return parse_user_id(user_id).server_name
    except ValueError as error:
        raise InvalidParam(str(error)) from None


def _may_invite(room: RoomActor, user_id: str) -> bool:
    levels = room.power_levels
    return room.membership(user_id) == JOIN and levels.user_level(user_id) >= levels.invite


def _leaving(draft: Draft) -> Decide:
    """Leave, unless that is done already."""

    def decide(now: RoomActor) -> Draft | None:
        there = now.member(draft.sender)
        return None if there is not None and membership_of(there) == LEAVE else draft

    return decide


def _removing(draft: Draft, memberships: frozenset[str]) -> Decide:
    """Remove somebody who has one of these memberships."""

    def decide(now: RoomActor) -> Draft:
        if now.membership(draft.state_key or "") not in memberships:
            raise Forbidden("That user is not in this room.")
        return draft

    return decide


def _unless_same(draft: Draft) -> Decide:
    """Do what the draft says, unless the same sender, still in the room, has said it already."""

    def decide(now: RoomActor) -> Draft | None:
        there = now.member(draft.state_key or "")
        same = there is not None and there.sender == draft.sender and there.content == draft.content
        return None if same and now.membership(draft.sender) == JOIN else draft

    return decide
