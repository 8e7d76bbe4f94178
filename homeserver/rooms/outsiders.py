"""What users of ours are to rooms that are not here: invited, knocking, or turned away.

Spec: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room

Such a membership is stored and told like any other, with what another server said of the room; but it has
no place in the graph of the room. Nothing here shows that the room allows it: if the room comes here later,
the event is taken in and checked like any other.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.core.changes import EventChange
from homeserver.core.content.member import BAN, INVITE, KNOCK, LEAVE, membership_in, membership_of
from homeserver.core.errors import InvalidParam
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from homeserver.core.pdu_form import check_format, required_signers, with_valid_hash
from homeserver.core.pdu_verdicts import Accepted, Dropped, Verdict
from homeserver.core.room_versions import RoomVersionRules
from homeserver.core.signing import event_id_of
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import intern
from homeserver.rooms.ports import Signatures
from homeserver.rooms.registry import RoomRegistry
from storage.pool import Database
from storage.tables.events import Events
from storage.tables.memberships import Memberships
from storage.tables.remote_offers import add_outside_member, stripped_of
from storage.tables.rooms import ROOM_INSERT
from storage.tables.state import State
from storage.write import Write

__all__ = ["RECEIVED_MAX", "Outsiders", "Standing"]

RECEIVED_MAX = 50
"""Events of one room that are looked at at once."""

_MEMBER = "m.room.member"
_NOT_PUBLIC = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What a user of ours is to a room.

    Attributes:
        membership: as their member event says.
        event: that event.
        servers: that may be in the room, going by whoever invited and by what was told of it.
    """

    membership: str
    event: Event
    servers: Sequence[str] = ()


class Outsiders:
    """Keeps what users of ours are to rooms that are not here.

    Args:
        registry: knows rooms, and takes writes.
        database: who is what, and the events that say so.
        signatures: verifies events.
    """

    def __init__(self, *, registry: RoomRegistry, database: Database, signatures: Signatures) -> None:
        self._registry = registry
        self._database = database
        self._memberships = Memberships(database)
        self._state = State(database, Events(database))
        self._signatures = signatures
        self._rooms: dict[str, asyncio.Lock] = {}

    async def standing(self, room_id: str, user_id: str) -> Standing | None:
        """Tell what a user is to a room, here or not; None if they never were anything to it."""
        room = await self._registry.rooms.find(room_id)
        if room is None:
            return None
        users = await self._registry.interning.existing("user", (user_id,))
        if user_id not in users:
            return None
        row = await self._memberships.one(room.room_nid, users[user_id])
        past = await self._state.history_of(room.room_nid, _MEMBER, user_id)
        if row is None or not past:
            return None
        (told,) = await stripped_of(self._database, [(room_id, user_id, row.position)])
        senders = [past[-1].event.sender, *[one["sender"] for one in orjson.loads(told or b"[]")]]
        servers = dict.fromkeys([server_name_of(sender) or "" for sender in senders])
        return Standing(row.membership, past[-1].event, tuple(servers))

    async def note(self, event: Event, told: Sequence[dict[str, Any]] | None = None) -> None:
        """Store what a user of ours is to a room that is not here, and tell them.

        Args:
            event: the member event, whose signatures were checked.
            told: what the user may know of the room: stripped state; None if they have no business there now.

        Raises:
            InvalidParam: the room is known to have another version.
            Unavailable: it was not stored; the same may be tried again.
        """
        assert event.state_key is not None
        async with self._one_at_a_time(event.room_id):
            write = Write(order_key=event.room_id)
            room_nid = await self._room_nid(write, event, told or ())
            (numbers,) = await intern(
                self._registry.interning, [Draft(event.type, event.sender, {}, event.state_key)]
            )
            position = self._registry.journal.next_position()
            membership = membership_of(event)
            add_outside_member(
                write, event, room_nid=room_nid, numbers=numbers, position=position, membership=membership,
                stripped=None if told is None else orjson.dumps(list(told)),
            )  # fmt: skip
            write.changes.append(EventChange(position, event.room_id, event))
            await asyncio.shield(self._registry.journal.append(write))

    async def _room_nid(self, write: Write, event: Event, told: Sequence[dict[str, Any]]) -> int:
        rooms = self._registry.rooms
        row = await rooms.find(event.room_id)
        if row is not None:
            if row.version != event.rules.version:
                raise InvalidParam(f"The room is known here to have the version {row.version}.")
            return row.room_nid
        creators = [one["sender"] for one in told if one["type"] == "m.room.create"]
        creator_nid = await self._registry.interning.nid("user", (*creators, event.sender)[0])
        room_nid = await rooms.new_room_nid()
        write.add(
            ROOM_INSERT, room_nid, event.room_id, event.rules.version, creator_nid,
            self._registry.composer.now_ms(), _NOT_PUBLIC,
        )  # fmt: skip
        return room_nid

    @asynccontextmanager
    async def _one_at_a_time(self, room_id: str) -> AsyncIterator[None]:
        lock = self._rooms.setdefault(room_id, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._rooms.get(room_id) is lock:
                del self._rooms[room_id]

    async def receive(self, origin: str, room_id: str, pdus: Iterable[Any]) -> dict[str, Verdict | None]:
        """Take in events of a room that is not here: only what turns a user of ours away counts.

        Returns:
            What has come of each, by event ID; None for those that are no business of ours.

        Raises:
            Unavailable: it was not stored; the same may be tried again.
        """
        room = await self._registry.rooms.find(room_id)
        outcomes: dict[str, Verdict | None] = {}
        for pdu in list(pdus)[:RECEIVED_MAX] if room is not None else ():
            assert room is not None
            with suppress(ValueError, KeyError, TypeError, AttributeError):
                event_id = event_id_of(pdu, room.rules)
                outcomes[event_id] = None
                if self._turns_away(pdu, room_id):
                    outcomes[event_id] = await self._turned_away(pdu, room.rules)
        del origin  # whoever passes it on: the event is signed
        return outcomes

    def _turns_away(self, pdu: dict[str, Any], room_id: str) -> bool:
        if pdu["type"] != _MEMBER or pdu["room_id"] != room_id:
            return False
        is_ours = server_name_of(pdu["state_key"]) == self._registry.composer.server_name
        return is_ours and membership_in(pdu["content"]) in {BAN, LEAVE}

    async def _turned_away(self, pdu: dict[str, Any], rules: RoomVersionRules) -> Verdict | None:
        dropped = check_format(pdu, rules)
        if dropped is not None:
            return dropped
        event = Event.from_pdu(with_valid_hash(pdu, rules), rules)
        assert event.state_key is not None
        standing = await self.standing(event.room_id, event.state_key)
        if standing is None or standing.membership not in {INVITE, KNOCK}:
            return None
        # Who may turn them away is for the room to say, which is not here. But whoever may has seen what they
        # take back: their event rests on it, and nobody else knows its ID.
        if standing.event.event_id not in event.auth_events:
            return Dropped("The event does not rest on what it takes back.")
        missing = await self._signatures.missing_on(pdu, rules, required_signers(pdu, rules))
        if missing:
            return Dropped(f"The event is not signed by {', '.join(sorted(missing))}.")
        await self.note(event)
        return Accepted(event)
