"""Sending: message events, state events and redactions of clients, and reading state back.

Spec: https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room
"""

from typing import Any

from homeserver.core.auth.redaction import may_redact
from homeserver.core.errors import Forbidden, InvalidParam, NotFound, UserSuspended
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.aliases import CANONICAL_ALIAS, Directory, named_in
from homeserver.rooms.commands import Draft, Origin
from homeserver.rooms.membership import Membership
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.relation_rules import RelationRules
from storage.tables.events import Events

__all__ = ["REDACTION", "Sending"]

REDACTION = "m.room.redaction"
_NOT_REDACTABLE = frozenset(("m.room.create", "m.room.server_acl"))


class Sending:
    """Puts clients' events into rooms.

    Args:
        registry: the rooms.
        events: finds what is to be redacted.
        directory: knows what aliases stand for.
        membership: sets member events.
        relation_rules: what clients may not relate to what.
    """

    def __init__(
        self, *, registry: RoomRegistry, events: Events, directory: Directory, membership: Membership,
        relation_rules: RelationRules,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._events = events
        self._directory = directory
        self._membership = membership
        self._relation_rules = relation_rules

    async def send(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        content: dict[str, Any],
        transaction_id: str,
        *,
        sticky_ms: int | None = None,
        delayed_by: int | None = None,
    ) -> str:
        """Send a message event, once for each transaction ID; returns the event's ID.

        Args:
            requester: who sends it.
            room_id: where to.
            event_type: its type.
            content: its content.
            transaction_id: the client's; of a delayed event its delay ID.
            sticky_ms: for how many milliseconds everybody in the room is to be told of it.
            delayed_by: of a delayed event: the session that scheduled it.

        Raises:
            BadJson: the content has no canonical JSON.
            DuplicateAnnotation: the user reacted like this before.
            Forbidden: the user may not send this there.
            NotFound: what is to be redacted does not exist.
            TooLarge: the event is over a size limit.
            UnknownError: it would begin a thread where none can begin.
            Unavailable: it was not stored; the same may be tried again.
        """
        if event_type == REDACTION and isinstance(content.get("redacts"), str):
            target_id: str = content["redacts"]
            return await self.redact(requester, room_id, target_id, content, transaction_id)
        draft = Draft(event_type, requester.user_id, content, sticky_ms=sticky_ms)
        origin = Origin(requester, transaction_id, delayed_by=delayed_by)
        if "m.relates_to" in content:
            await self._relation_rules.check(room_id, draft, origin)
        return await self._registry.send(room_id, draft, origin=origin)

    async def redact(
        self, requester: Requester, room_id: str, event_id: str, content: dict[str, Any], transaction_id: str
    ) -> str:
        """Redact an event, once for each transaction ID; returns the redaction's ID.

        Raises:
            BadJson: the content has no canonical JSON.
            Forbidden: the user may not redact this.
            NotFound: there is no such event in the room.
            TooLarge: the redaction is over a size limit.
            Unavailable: it was not stored; the same may be tried again.
            UserSuspended: the user is, and the event is somebody else's.
        """
        target = await self._target(requester, room_id, event_id)
        if requester.is_suspended and target.sender != requester.user_id:
            raise UserSuspended("You cannot redact what others sent while suspended.")
        draft = Draft(REDACTION, requester.user_id, content, redacts=event_id)

        def decide(room: RoomActor) -> Draft:
            _check_redaction(room, requester.user_id, target)
            return draft

        origin = Origin(requester, transaction_id, event_id)
        # What is redacted already stays as the first redaction left it.
        fresh = target if target.redacted_because is None else None
        return await self._registry.send(room_id, draft, origin=origin, decide=decide, target=fresh)

    async def set_state(
        self, requester: Requester, room_id: str, event_type: str, state_key: str, content: dict[str, Any],
        *, origin: Origin | None = None,
    ) -> str:  # fmt: skip
        """Set a state event; returns its ID, which is the present one's if that says the same.

        Args:
            requester: who sets it.
            room_id: where.
            event_type: its type.
            state_key: its state key.
            content: what it is to say.
            origin: of a delayed event: what it was.

        Raises:
            BadAlias: a canonical alias does not stand for the room.
            BadJson: the content has no canonical JSON.
            Forbidden: the user may not set this there.
            InvalidParam: a canonical alias is no alias, or a member no user.
            LimitExceeded: too many invitations or joins.
            TooLarge: the event is over a size limit.
            Unavailable: it was not stored; the same may be tried again.
        """
        if event_type == "m.room.create":
            raise Forbidden("A room is created once.")
        if event_type == REDACTION:
            raise InvalidParam("A redaction is no state: send it through the redact endpoint.")
        if event_type == "m.room.member":
            return await self._membership.set_member(requester, room_id, state_key, content)
        if event_type == CANONICAL_ALIAS:
            await self._check_aliases(room_id, content)
        draft = Draft(event_type, requester.user_id, content, state_key)

        def decide(room: RoomActor) -> Draft | None:
            present = room.state.get((event_type, state_key))
            same = present is not None and present.sender == draft.sender and present.content == content
            # Saying the same again is no change, but only for those who might have made one.
            return None if same and room.membership(draft.sender) == "join" else draft

        return await self._registry.send(room_id, draft, origin=origin, decide=decide)

    async def _target(self, requester: Requester, room_id: str, event_id: str) -> Event:
        try:
            room = await self._registry.actor(room_id, ("m.room.member", requester.user_id))
        except NotFound:
            raise Forbidden("You are not in this room, or it does not exist.") from None
        if room.membership(requester.user_id) != "join":
            raise Forbidden("You are not in this room, or it does not exist.")
        if room.last_commit is not None:
            await self._registry.settled(room)  # what is to be redacted may be on its way into storage
        stored = await self._events.by_id(event_id)
        if stored is None or stored.event.room_id != room_id:
            raise NotFound("There is no such event in this room.")
        return stored.event

    async def _check_aliases(self, room_id: str, content: dict[str, Any]) -> None:
        """Check that the aliases which are new stand for the room."""
        try:
            room = await self._registry.actor(room_id, (CANONICAL_ALIAS, ""))
        except NotFound:
            return  # refused where the event is sent
        present = room.state.get((CANONICAL_ALIAS, ""))
        known = () if present is None else named_in(present.content)
        await self._directory.check_canonical(room_id, content, known)


def _check_redaction(room: RoomActor, sender: str, target: Event) -> None:
    if target.type in _NOT_REDACTABLE:
        raise Forbidden(f"Events of type {target.type} cannot be redacted.")
    if not may_redact(sender, target, room.power_levels):
        raise Forbidden("You may not redact what others sent in this room.")
