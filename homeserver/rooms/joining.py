"""Coming into a room: by its join rule, by invitation, on somebody's authority, or by knocking.

Spec: https://spec.matrix.org/v1.19/client-server-api/#joining-rooms
"""

from collections.abc import Callable, Sequence
from typing import Any

from homeserver.core.content.guest_access import GUEST_ACCESS, lets_guests_in
from homeserver.core.content.join_rules import PUBLIC, join_rule_of
from homeserver.core.content.member import BAN, INVITE, JOIN, membership_of
from homeserver.core.errors import (
    GuestAccessForbidden,
    MatrixError,
    UnableToAuthoriseJoin,
    UnableToGrantJoin,
    Unavailable,
)
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.member_content import member_content, with_profile
from homeserver.rooms.ports import ProfileReader
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.remote_rooms import RemoteRooms
from homeserver.rooms.restricted_joins import Admission, RestrictedJoins, needs_admission
from homeserver.rooms.room_names import RoomNames
from homeserver.rooms.spam_limits import SpamLimits
from homeserver.rooms.succession import Succession
from homeserver.rooms.third_party_invites import ThirdPartyInvites

__all__ = ["Joining"]

_MEMBER = "m.room.member"
_AUTHORISED = "join_authorised_via_users_server"
_ATTEMPTS_MAX = 3

Renew = Callable[[Event], dict[str, Any] | None]
"""From the member event of one who is in the room to its new content; None if nothing is to change."""


class _Changed(Exception):
    """The room has changed since somebody was found who vouches."""


class Joining:
    """Lets users into rooms.

    Args:
        registry: the rooms.
        names: finds rooms.
        remote_rooms: lets users into those that are not here.
        profiles: names and avatars for member events.
        restricted_joins: says who vouches.
        third_party_invites: redeems those.
        spam_limits: counts joins.
        succession: what users take along to a room that replaces another.
    """

    def __init__(
        self,
        *,
        registry: RoomRegistry,
        names: RoomNames,
        remote_rooms: RemoteRooms,
        profiles: ProfileReader,
        restricted_joins: RestrictedJoins,
        third_party_invites: ThirdPartyInvites,
        spam_limits: SpamLimits,
        succession: Succession,
    ) -> None:
        self._registry = registry
        self._names = names
        self._remote_rooms = remote_rooms
        self._profiles = profiles
        self._restricted_joins = restricted_joins
        self._third_party_invites = third_party_invites
        self._spam_limits = spam_limits
        self._succession = succession

    async def join(
        self,
        requester: Requester,
        room: str,
        reason: str | None = None,
        *,
        third_party_signed: dict[str, Any] | None = None,
        via: Sequence[str] = (),
    ) -> str:
        """Join a room by its ID or an alias; returns its ID. Who is in it already only shows a new profile.

        Args:
            requester: who joins.
            room: room ID or alias.
            reason: why.
            third_party_signed: the proof of a third-party invitation.
            via: servers that may be in the room, if it is not here.

        Raises:
            BadJson: the proof of a third-party invitation is none.
            Forbidden: the room does not let the user in.
            InvalidParam: it is neither a room ID nor an alias.
            LimitExceeded: the user joins too many rooms, or too many join the room.
            NotFound: there is no such room here, and no other server is known that is in it.
            RemoteRefused, Unavailable: the room is not here, and no other server lets the user in.
            UnableToGrantJoin: nobody who is here may let the user in.
        """
        room_id, servers = await self._names.find(room, via)
        if third_party_signed is not None:
            await self._third_party_invites.redeem(requester.user_id, room_id, third_party_signed)
        profile = await self._profiles.profile_of(requester.user_id)
        content = member_content(JOIN, profile, reason)
        await self.enter(
            requester, room_id, content, lambda there: with_profile(there.content, profile), servers
        )
        return room_id

    async def enter(
        self, requester: Requester, room_id: str, content: dict[str, Any], renew: Renew,
        via: Sequence[str] = (),
    ) -> str:  # fmt: skip
        """Join with this content; returns the ID of the member event.

        Args:
            requester: who joins.
            room_id: the room.
            content: of the member event; on whose authority it is, is added.
            renew: for one who is in the room already.
            via: servers that may be in the room, if it is not here.

        Raises:
            Forbidden: the room does not let the user in.
            GuestAccessForbidden: the user is a guest, and the room wants none.
            LimitExceeded: the user joins too many rooms, or too many join the room.
            NotFound: there is no such room here.
            Unavailable: the room changed too often meanwhile.
            UnableToGrantJoin: nobody who is here may let the user in.
        """
        user_id = requester.user_id
        event_id = await self._enter_remotely(requester, room_id, content, via)
        if event_id is not None:
            return event_id
        for attempt in range(_ATTEMPTS_MAX):
            room = await self._registry.actor(room_id, (_MEMBER, user_id))
            if requester.is_guest and not lets_guests_in(room.state.get((GUEST_ACCESS, ""))):
                raise GuestAccessForbidden("This room lets no guests in.")
            lets_in, was_in = _lets_in(room, user_id), room.membership(user_id) == JOIN
            admission = None
            if needs_admission(room, user_id):
                try:
                    admission = await self._restricted_joins.admit(room_id, user_id)
                except (UnableToAuthoriseJoin, UnableToGrantJoin) as error:
                    return await self._enter_by_others(requester, room_id, content, via, error)
            if attempt == 0 and (lets_in or admission is not None):
                # Those whom the room keeps out must not use up what it may take in.
                self._spam_limits.count_join(requester, room_id)
            try:
                event_id = await self._send(room_id, user_id, content, admission=admission, renew=renew)
            except _Changed:
                continue
            if not was_in:
                await self._succession.take_along(user_id, room_id)
            return event_id
        raise Unavailable("The room changes while you join it; try again.")

    async def _enter_remotely(
        self, requester: Requester, room_id: str, content: dict[str, Any], via: Sequence[str]
    ) -> str | None:
        """Join a room that is not here; None if it is."""
        if await self._remote_rooms.residency.is_resident(room_id):
            return None
        if requester.is_guest:
            raise GuestAccessForbidden("Guests join rooms of this server only.")
        self._spam_limits.count_join(requester, room_id)
        event_id = await self._remote_rooms.join(requester.user_id, room_id, via, content)
        if event_id is not None:
            await self._succession.take_along(requester.user_id, room_id)
        return event_id

    async def _enter_by_others(
        self, requester: Requester, room_id: str, content: dict[str, Any], via: Sequence[str],
        refused: MatrixError,
    ) -> str:  # fmt: skip
        """Join a room that is here, where nobody of ours may let the user in: somebody elsewhere may."""
        self._spam_limits.count_join(requester, room_id)
        event_id = await self._remote_rooms.join_by_others(requester.user_id, room_id, via, content)
        if event_id is None:
            raise refused
        await self._succession.take_along(requester.user_id, room_id)
        return event_id

    async def _send(
        self, room_id: str, user_id: str, content: dict[str, Any], *, admission: Admission | None,
        renew: Renew,
    ) -> str:  # fmt: skip
        def decide(now: RoomActor) -> Draft | None:
            there = now.member(user_id)
            if there is not None and membership_of(there) == JOIN:
                renewed = renew(there)
                return None if renewed is None else Draft(_MEMBER, user_id, renewed, user_id)
            if not needs_admission(now, user_id):
                return Draft(_MEMBER, user_id, content, user_id)
            if admission is None or not admission.holds(now):
                raise _Changed
            return Draft(_MEMBER, user_id, {**content, _AUTHORISED: admission.authoriser}, user_id)

        return await self._registry.send(room_id, Draft(_MEMBER, user_id, content, user_id), decide=decide)


def _lets_in(room: RoomActor, user_id: str) -> bool:
    """Whether somebody who is not in the room comes in without more ado."""
    membership = room.membership(user_id)
    is_public = join_rule_of(room.state.get(("m.room.join_rules", ""))) == PUBLIC
    return membership == INVITE or (is_public and membership not in {JOIN, BAN})
