"""Sending: message events, state events and redactions of clients."""

from typing import Any, NoReturn

from homeserver.core.errors import BadAlias, Forbidden, InvalidParam, NotFound, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_room_alias, parse_user_id
from homeserver.core.requester import Requester
from homeserver.rooms.commands import Draft, Transaction
from homeserver.rooms.compose import CREATE, MEMBER
from homeserver.rooms.outcomes import settled
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.transactions import SentBefore, transaction_of
from storage.tables.aliases import Aliases
from storage.tables.events import Events

__all__ = ["REDACTION", "Sending"]

REDACTION = "m.room.redaction"
_CANONICAL_ALIAS = "m.room.canonical_alias"


class Sending:
    """Puts clients' events into rooms.

    Args:
        registry: the rooms.
        sent_before: what the transaction IDs of clients made already.
        events: finds what is to be redacted.
        aliases: finds what aliases stand for.
    """

    def __init__(
        self, *, registry: RoomRegistry, sent_before: SentBefore, events: Events, aliases: Aliases
    ) -> None:
        self._registry = registry
        self._sent_before = sent_before
        self._events = events
        self._aliases = aliases

    async def send(
        self,
        requester: Requester,
        room_id: str,
        event_type: str,
        content: dict[str, Any],
        transaction_id: str,
    ) -> str:
        """Send a message event, once for each transaction ID; returns the event's ID.

        Raises:
            BadJson: the content has no canonical JSON.
            Forbidden: the user may not send this there.
            NotFound: what is to be redacted does not exist.
            TooLarge: the event is over a size limit.
            Unavailable: it was not stored; the same may be tried again.
        """
        if event_type == REDACTION and isinstance(content.get("redacts"), str):
            target_id: str = content["redacts"]
            return await self.redact(requester, room_id, target_id, content, transaction_id)
        transaction = transaction_of(requester, room_id, event_type, transaction_id)
        draft = Draft(requester.user_id, event_type, content, transaction=transaction)
        return await self._send_once(room_id, draft, transaction)

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
        """
        await self._registry.actor(room_id)
        transaction = transaction_of(requester, room_id, REDACTION, transaction_id)
        draft = Draft(requester.user_id, REDACTION, content, transaction=transaction)
        draft.redaction_of = await self._target(room_id, event_id)
        return await self._send_once(room_id, draft, transaction)

    async def set_state(
        self, requester: Requester, room_id: str, event_type: str, state_key: str, content: dict[str, Any]
    ) -> str:
        """Set a state event; returns its ID, which is the present one's if that says the same.

        Raises:
            BadAlias: a canonical alias does not stand for the room.
            BadJson: the content has no canonical JSON.
            Forbidden: the user may not set this there.
            InvalidParam: a canonical alias is no alias, or a member no user.
            TooLarge: the event is over a size limit.
            Unavailable: it was not stored; the same may be tried again.
        """
        if event_type == CREATE:
            raise Forbidden("A room is created once.")
        if event_type == MEMBER:
            self._check_member(state_key)
        draft = Draft(requester.user_id, event_type, content, state_key)
        actor = await self._registry.actor(room_id)
        if event_type == _CANONICAL_ALIAS:
            await self._check_aliases(room_id, content, actor.graph.state.get((event_type, state_key)))
        actor = await self._registry.ready(room_id, draft)
        present = actor.graph.state.get((event_type, state_key))
        if present is not None and present.sender == draft.sender and present.content == content:
            return present.event_id
        return await settled(actor.append(draft))

    async def _send_once(self, room_id: str, draft: Draft, transaction: Transaction) -> str:
        await self._sent_before.know(transaction.session_id)
        actor = await self._registry.ready(room_id, draft)
        before = self._sent_before.find(transaction)
        if before is None:
            before = actor.append(draft)
            self._sent_before.remember(transaction, before)
        try:
            return await settled(before)
        except Unavailable:
            # Perhaps the database refused the transaction ID, as one that was used long ago.
            stored = await self._sent_before.stored(transaction)
            if stored is None:
                raise
            return stored

    async def _target(self, room_id: str, event_id: str) -> Event:
        stored = await self._events.by_id(event_id)
        if stored is None or stored.event.room_id != room_id:
            raise NotFound("There is no such event in this room.")
        return stored.event

    def _check_member(self, user_id: str) -> None:
        try:
            named = parse_user_id(user_id)
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if named.server_name != self._registry.tools.signer.server_name:
            raise Forbidden("Users of other servers cannot be in rooms of this one yet.")

    async def _check_aliases(self, room_id: str, content: dict[str, Any], present: Event | None) -> None:
        """Check those aliases that are new."""
        known = set() if present is None else set(_aliases_in(present.content))
        for alias in _aliases_in(content):
            if alias in known:
                continue
            _check_alias(alias)
            row = await self._aliases.find(alias)
            if row is None or row.room_id != room_id:
                raise BadAlias(f"The alias {alias} does not stand for this room.")


def _aliases_in(content: dict[str, Any]) -> list[str]:
    alternatives = content.get("alt_aliases")
    aliases = [content.get("alias"), *(alternatives if isinstance(alternatives, list) else ())]
    if any(alias is not None and not isinstance(alias, str) for alias in aliases):
        _refuse_alias("An alias must be a string.")
    return [alias for alias in aliases if alias]


def _check_alias(alias: str) -> None:
    try:
        parse_room_alias(alias)
    except ValueError as error:
        _refuse_alias(str(error))


def _refuse_alias(sentence: str) -> NoReturn:
    raise InvalidParam(sentence)
