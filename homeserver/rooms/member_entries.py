"""Member events of users of other servers who come into rooms by way of this one, or leave them by it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.core.content.member import JOIN, KNOCK, LEAVE, authoriser_of, membership_in
from homeserver.core.errors import Forbidden, InvalidParam, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.event.stripped import SHOWN, told_pdus
from homeserver.core.identifiers import server_name_of
from homeserver.core.pdu_form import check_format
from homeserver.core.pdu_verdicts import Dropped, Rejected, SoftFailed
from homeserver.core.signing import event_id_of
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.ingest import Ingest, Postponed
from homeserver.rooms.member_templates import MemberTemplates
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.restricted_joins import RestrictedJoins
from homeserver.rooms.server_states import ServerStates
from homeserver.rooms.spam_limits import SpamLimits
from storage.pool import Database
from storage.tables.events import EventFlags, Events, StoredEvent
from storage.tables.room_servers import joined_servers

__all__ = ["JoinedRoom", "MemberEntries"]

_MEMBER = "m.room.member"
_REFUSED = EventFlags.OUTLIER | EventFlags.REJECTED | EventFlags.SOFT_FAILED


@dataclass(frozen=True, slots=True)
class JoinedRoom:
    """What a server that has come into a room is told.

    Attributes:
        event: the member event, with our signature if we vouched for it.
        state: the state before it, encoded.
        auth_chain: what allows that and the event, encoded; without `state`, if members are omitted.
        servers: who was in the room before; None where nothing is omitted.
    """

    event: Event
    state: Sequence[bytes]
    auth_chain: Sequence[bytes]
    servers: Sequence[str] | None


class MemberEntries:
    """Takes them in.

    Args:
        registry: the rooms.
        templates: finds them for other servers.
        restricted_joins: says who vouches.
        ingest: checks and places events.
        database: what is stored.
        states: tells states to other servers.
        spam_limits: counts joins and knocks.
    """

    def __init__(
        self, *, registry: RoomRegistry, templates: MemberTemplates, restricted_joins: RestrictedJoins,
        ingest: Ingest, database: Database, states: ServerStates, spam_limits: SpamLimits,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._templates = templates
        self._restricted_joins = restricted_joins
        self._ingest = ingest
        self._database = database
        self._states = states
        self._spam_limits = spam_limits
        self._events = Events(database)

    async def join(
        self, origin: str, room_id: str, event_id: str, pdu: Any, *, omits_members: bool
    ) -> JoinedRoom:
        """Let a user in; the same event may come again.

        Args:
            origin: the server that asks.
            room_id: the room.
            event_id: of the event.
            pdu: the member event.
            omits_members: leave member events out of the state.

        Raises:
            Forbidden: the room does not let them in, or keeps their server out.
            InvalidParam: it is no such event, or not signed as it must be.
            LimitExceeded: the user joins too many rooms, or too many join the room.
            NotFound: the room is not here.
            UnableToAuthoriseJoin, UnableToGrantJoin: another server may be able to let them in.
            Unavailable: it could not be stored; the same may be tried again.
        """
        room = await self._room(origin, room_id, event_id, pdu, JOIN)
        room_nid = room.room_nid
        await self._count(room_id, event_id, pdu)
        servers = None
        if omits_members:
            others = await joined_servers(self._database, room_nid)
            servers = sorted({*others, self._registry.composer.server_name})
        if authoriser_of(pdu["content"]) is not None:
            pdu = await self._countersigned(room, pdu)
        stored = await self._admitted(origin, room_id, event_id, pdu)
        return await self._answer(room_nid, stored, servers)

    async def leave(self, origin: str, room_id: str, event_id: str, pdu: Any) -> None:
        """Let a user leave.

        Raises:
            As `join`.
        """
        await self._room(origin, room_id, event_id, pdu, LEAVE)
        await self._admitted(origin, room_id, event_id, pdu)

    async def knock(self, origin: str, room_id: str, event_id: str, pdu: Any) -> list[dict[str, Any]]:
        """Let a user knock; returns what they may know of the room.

        Raises:
            As `join`.
        """
        await self._room(origin, room_id, event_id, pdu, KNOCK)
        await self._count(room_id, event_id, pdu)
        await self._admitted(origin, room_id, event_id, pdu)
        room = await self._registry.actor(room_id)
        return told_pdus(room.state.select([(event_type, "") for event_type in SHOWN]))

    async def _room(self, origin: str, room_id: str, event_id: str, pdu: Any, membership: str) -> RoomActor:
        """Find the room of a member event that comes from the server of its sender."""
        sender = pdu.get("sender") if isinstance(pdu, dict) else None
        if not isinstance(sender, str):
            raise InvalidParam("The body is no event.")
        room = await self._templates.room(origin, room_id, sender)
        dropped = check_format(pdu, room.rules)
        if dropped is not None:
            raise InvalidParam(dropped.reason)
        is_such = (
            pdu["type"] == _MEMBER
            and pdu.get("state_key") == sender
            and pdu.get("room_id") == room_id
            and membership_in(pdu["content"]) == membership
        )
        if not is_such:
            raise InvalidParam(f"The event is not the {membership} of its sender in this room.")
        if event_id_of(pdu, room.rules) != event_id:
            raise InvalidParam("The event has another ID.")
        return room

    async def _count(self, room_id: str, event_id: str, pdu: dict[str, Any]) -> None:
        if await self._events.by_id(event_id) is None:  # else it comes again
            self._spam_limits.count_join_from_elsewhere(pdu["sender"], room_id)

    async def _countersigned(self, room: RoomActor, pdu: dict[str, Any]) -> dict[str, Any]:
        """Vouch for a user, if one of ours is said to and the user may come in."""
        authoriser = authoriser_of(pdu["content"])
        assert authoriser is not None
        if server_name_of(authoriser) != self._registry.composer.server_name:
            return pdu  # whose signature must be there already
        rules, room_id = room.rules, room.room_id
        await self._restricted_joins.check(room_id, pdu["sender"])
        return self._registry.composer.countersigned(pdu, rules)

    async def _admitted(self, origin: str, room_id: str, event_id: str, pdu: dict[str, Any]) -> StoredEvent:
        outcome = await self._ingest.admit(origin, room_id, pdu)
        match outcome:
            case Dropped():
                raise InvalidParam(outcome.reason)
            case Rejected() | SoftFailed():
                raise Forbidden(outcome.reason)
            case Postponed():
                raise Unavailable(outcome.reason)
        stored = await self._events.by_id(event_id)
        if stored is None or stored.flags & _REFUSED:
            raise Forbidden("The room does not allow this event.")
        return stored

    async def _answer(
        self, room_nid: int, stored: StoredEvent, servers: Sequence[str] | None
    ) -> JoinedRoom:
        without_type = None
        if servers is not None:
            types = await self._registry.interning.existing("type", (_MEMBER,))
            without_type = types[_MEMBER]
        async with self._states.turns:
            numbered = await self._states.entered(room_nid, stored, without_type=without_type)
            state = await self._states.pdus(room_nid, numbered.state)
            auth_chain = await self._states.pdus(room_nid, numbered.auth_chain)
        return JoinedRoom(stored.event, state, auth_chain, servers)
