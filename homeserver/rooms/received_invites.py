"""Invitations of users of ours by those of other servers.

Spec: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
"""

from typing import Any

from homeserver.core.content.member import INVITE, membership_in
from homeserver.core.content.server_acl import ServerAcl
from homeserver.core.errors import Forbidden, IncompatibleRoomVersion, InvalidParam, InviteBlocked, NotFound
from homeserver.core.event.pdu import Event
from homeserver.core.event.stripped import ENTRIES_MAX, stripped_entries
from homeserver.core.identifiers import server_name_of
from homeserver.core.pdu_form import check_format, required_signers, with_valid_hash
from homeserver.core.room_versions import RoomVersionRules, rules_for
from homeserver.core.signing import event_id_of
from homeserver.rooms.outsiders import Outsiders
from homeserver.rooms.ports import InvitePermissionReader, Signatures
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.residency import Residency
from homeserver.rooms.spam_limits import SpamLimits
from storage.pool import Database
from storage.tables import account_states

__all__ = ["ReceivedInvites"]

_MEMBER, _CREATE = "m.room.member", "m.room.create"


class ReceivedInvites:
    """Accepts invitations, or does not.

    Args:
        registry: the rooms; signs for us.
        residency: knows which of them are here.
        outsiders: keeps invitations to the others.
        invite_permissions: knows who does not want to be invited.
        signatures: verifies events.
        database: knows the accounts.
        spam_limits: counts invitations.
    """

    def __init__(
        self, *, registry: RoomRegistry, residency: Residency, outsiders: Outsiders,
        invite_permissions: InvitePermissionReader, signatures: Signatures, database: Database,
        spam_limits: SpamLimits,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._residency = residency
        self._outsiders = outsiders
        self._invite_permissions = invite_permissions
        self._signatures = signatures
        self._database = database
        self._spam_limits = spam_limits

    async def receive(
        self, origin: str, room_id: str, event_id: str, pdu: Any, *, version: str, told: Any
    ) -> dict[str, Any]:
        """Accept an invitation; returns the event with our signature.

        A room that is here hears of it as of any other event; of one that is not, the user is told here.

        Args:
            origin: the server that asks.
            room_id: the room.
            event_id: of the event.
            pdu: the member event.
            version: of the room.
            told: what the other server tells of the room, for whom it invites.

        Raises:
            Forbidden: the user cannot be invited, or the room keeps the server out.
            IncompatibleRoomVersion: this server does not know the room's version.
            InvalidParam: it is no invitation of a user of ours, or not signed, or does not tell of the room.
            InviteBlocked: the user does not want to be invited.
            LimitExceeded: too many invitations, from this user, to that one, or to the room.
            NotFound: there is no such user.
            Unavailable: it was not stored; the same may be tried again.
        """
        rules = rules_for(version)
        if rules is None:
            raise IncompatibleRoomVersion("This server does not know that version.", room_version=version)
        event = await self._event(origin, room_id, event_id, pdu, rules)
        await self._check_told(event, told)
        assert event.state_key is not None
        await self._check_invitee(event.state_key)
        is_resident = await self._residency.is_resident(room_id)
        if is_resident:
            room = await self._registry.actor(room_id)
            if not ServerAcl.of(room.state.get(("m.room.server_acl", ""))).allows(origin):
                raise Forbidden("The access control list of the room keeps your server out.")
        self._spam_limits.count_invite_from_elsewhere(event.sender, room_id, event.state_key)
        signed = self._registry.composer.countersigned(event.pdu, rules)
        if not is_resident:
            await self._outsiders.note(Event.from_pdu(signed, rules), stripped_entries(told))
        return signed

    async def _event(
        self, origin: str, room_id: str, event_id: str, pdu: Any, rules: RoomVersionRules
    ) -> Event:
        dropped = check_format(pdu, rules)
        if dropped is not None:
            raise InvalidParam(dropped.reason)
        is_invite = (
            pdu["type"] == _MEMBER
            and membership_in(pdu["content"]) == INVITE
            and server_name_of(pdu["sender"]) == origin
            and server_name_of(pdu.get("state_key", "")) == self._registry.composer.server_name
        )
        if not is_invite:
            raise InvalidParam("The event is no invitation of a user of this server by one of yours.")
        if pdu.get("room_id") != room_id or event_id_of(pdu, rules) != event_id:
            raise InvalidParam("The event has another ID, or is of another room.")
        await self._check_signatures(pdu, rules)
        if with_valid_hash(pdu, rules) is not pdu:
            raise InvalidParam("The content hash of the event is wrong.")
        return Event.from_pdu(pdu, rules)

    async def _check_signatures(self, pdu: dict[str, Any], rules: RoomVersionRules) -> None:
        missing = await self._signatures.missing_on(pdu, rules, required_signers(pdu, rules))
        if missing:
            raise InvalidParam(f"An event is not signed by {', '.join(sorted(missing))}.")

    async def _check_told(self, event: Event, told: Any) -> None:
        """Check what is told of a room, as the specification asks for.

        COMPAT: of the room versions 1 to 11 older servers tell less, so there it is not asked for.
        """
        rules = event.rules
        if not rules.room_id_is_create_event_id:
            return
        if not isinstance(told, list) or len(told) > ENTRIES_MAX:
            raise InvalidParam(f"invite_room_state must be an array of at most {ENTRIES_MAX} events.")
        creates = 0
        for pdu in told:
            dropped = check_format(pdu, rules)
            if dropped is not None:
                raise InvalidParam(f"An event of invite_room_state is none: {dropped.reason}")
            if pdu["type"] == _CREATE:
                creates += 1
                told_room_id = "!" + event_id_of(pdu, rules)[1:]
            else:
                told_room_id = pdu.get("room_id", "")
            if told_room_id != event.room_id:
                raise InvalidParam("An event of invite_room_state is of another room.")
            await self._check_signatures(pdu, rules)
        if creates != 1:
            raise InvalidParam("invite_room_state must hold the m.room.create of the room.")

    async def _check_invitee(self, user_id: str) -> None:
        state = await account_states.find(self._database, user_id)
        if state is None:
            raise NotFound("There is no such user on this server.")
        if state.is_deactivated or state.is_locked:
            raise Forbidden("That user cannot be invited.")
        if await self._invite_permissions.blocks_invites(user_id):
            raise InviteBlocked(f"{user_id} does not want to be invited.")
