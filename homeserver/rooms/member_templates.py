"""Sketches of member events, by which users of other servers come into rooms that are here, and leave them.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

from collections.abc import Sequence
from typing import Any

from homeserver.core.content.join_rules import join_rule_of, lets_knock
from homeserver.core.content.member import JOIN, KNOCK, LEAVE
from homeserver.core.content.server_acl import ServerAcl
from homeserver.core.errors import Forbidden, IncompatibleRoomVersion, InvalidParam, NotFound
from homeserver.core.event.builder import template_of
from homeserver.core.identifiers import parse_user_id
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import Composed
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.residency import Residency
from homeserver.rooms.restricted_joins import RestrictedJoins, needs_admission
from homeserver.rooms.room_state import NotLoadedError

__all__ = ["MemberTemplates", "Template", "check_sender", "composed"]

_MEMBER = "m.room.member"

Template = tuple[dict[str, Any], str]
"""The event without what its signer puts into it, and the room's version."""


def check_sender(origin: str, user_id: str) -> None:
    """Refuse a server that speaks for users of others.

    Raises:
        Forbidden: it does.
        InvalidParam: that is no user ID.
    """
    try:
        server_name = parse_user_id(user_id).server_name
    except ValueError as error:
        raise InvalidParam(str(error)) from None
    if server_name != origin:
        raise Forbidden("A server speaks for its own users only.")


async def composed(registry: RoomRegistry, room_id: str, draft: Draft) -> Composed:
    """Make the event that would follow in a room; the room stays as it is.

    Raises:
        Forbidden: the room does not allow it.
        NotFound: there is no such room here.
    """
    while True:
        room = await registry.actor(room_id)
        if room.last_commit is not None:  # what others are told must not rest on what is not stored yet
            await registry.settled(room)
            continue
        try:
            return registry.composer.compose(room, draft)
        except NotLoadedError as error:
            await registry.loading.load_state(room, error.keys)


class MemberTemplates:
    """Sketches them.

    Args:
        registry: the rooms.
        residency: knows which of them are here.
        restricted_joins: says who vouches.
    """

    def __init__(
        self, *, registry: RoomRegistry, residency: Residency, restricted_joins: RestrictedJoins
    ) -> None:
        self._registry = registry
        self._residency = residency
        self._restricted_joins = restricted_joins

    async def join(self, origin: str, room_id: str, user_id: str, versions: Sequence[str]) -> Template:
        """Sketch how a user comes in.

        Raises:
            Forbidden: the room does not let them in, or keeps their server out.
            IncompatibleRoomVersion: their server does not know the room's version.
            NotFound: the room is not here.
            UnableToAuthoriseJoin, UnableToGrantJoin: another server may be able to let them in.
        """
        room = await self.room(origin, room_id, user_id)
        _check_version(room, versions)
        content: dict[str, Any] = {"membership": JOIN}
        if needs_admission(room, user_id):
            admission = await self._restricted_joins.admit(room_id, user_id)
            content["join_authorised_via_users_server"] = admission.authoriser
        return await self._template(room_id, user_id, content)

    async def leave(self, origin: str, room_id: str, user_id: str) -> Template:
        """Sketch how a user leaves, refuses an invitation or takes back a knock.

        Raises:
            Forbidden: they are not in the room, or it keeps their server out.
            NotFound: the room is not here.
        """
        await self.room(origin, room_id, user_id)
        return await self._template(room_id, user_id, {"membership": LEAVE})

    async def knock(self, origin: str, room_id: str, user_id: str, versions: Sequence[str]) -> Template:
        """Sketch how a user knocks.

        Raises:
            Forbidden: the room lets nobody knock, or not them, or keeps their server out.
            IncompatibleRoomVersion: their server does not know the room's version.
            NotFound: the room is not here.
        """
        room = await self.room(origin, room_id, user_id)
        _check_version(room, versions)
        if not lets_knock(join_rule_of(room.state.get(("m.room.join_rules", ""))), room.rules):
            raise Forbidden("Nobody can knock on this room.")
        return await self._template(room_id, user_id, {"membership": KNOCK})

    async def room(self, origin: str, room_id: str, user_id: str) -> RoomActor:
        """Find a room that is here for a server that speaks for a user of its own.

        Raises:
            Forbidden: it speaks for somebody else's user, or the room keeps it out.
            NotFound: the room is not here.
        """
        check_sender(origin, user_id)
        if not await self._residency.is_resident(room_id):
            raise NotFound("This server is not in the room.")
        room = await self._registry.actor(room_id, (_MEMBER, user_id))
        if not ServerAcl.of(room.state.get(("m.room.server_acl", ""))).allows(origin):
            raise Forbidden("The access control list of the room keeps your server out.")
        create = room.create
        if create is not None and create.content.get("m.federate") is False:
            raise Forbidden("The room is for users of one server only.")
        return room

    async def _template(self, room_id: str, user_id: str, content: dict[str, Any]) -> Template:
        event = (await composed(self._registry, room_id, Draft(_MEMBER, user_id, content, user_id))).event
        return template_of(event), event.rules.version


def _check_version(room: RoomActor, versions: Sequence[str]) -> None:
    if room.rules.version not in versions:
        raise IncompatibleRoomVersion(
            "Your server does not know the version of this room.", room_version=room.rules.version
        )
