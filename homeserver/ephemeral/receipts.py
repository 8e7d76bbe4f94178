"""Receipts: how far users have read.

Spec: https://spec.matrix.org/v1.19/client-server-api/#receipts
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from homeserver.core.changes import ReceiptChange
from homeserver.core.content.relation import THREAD, relation_of
from homeserver.core.errors import InvalidParam, NotFound
from homeserver.core.event.pdu import Event
from homeserver.core.requester import Requester
from homeserver.ephemeral.joined_room import JoinedRooms
from homeserver.ephemeral.ports import NoteActivity, ReadMarkerWriter
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.journal import Journal
from storage.pool import Database
from storage.tables import receipts
from storage.tables.events import HIDDEN, Events, StoredEvent
from storage.tables.rooms import RoomRow
from storage.write import Write

__all__ = ["FULLY_READ", "MAIN_THREAD", "READ", "READ_PRIVATE", "Receipts", "ToldReceipt", "is_thread_id"]

FULLY_READ = "m.fully_read"
READ = "m.read"
READ_PRIVATE = "m.read.private"
MAIN_THREAD = "main"
_TYPES = (READ, READ_PRIVATE, FULLY_READ)
_THREAD_ID_BYTES_MAX = 255
_RELATIONS_DEEP_MAX = 3


@dataclass(frozen=True, slots=True)
class ToldReceipt:
    """What a server tells of how far one of its users has read.

    Attributes:
        user_id: the user.
        event_id: up to this event.
        thread_id: `main`, or the ID of a thread's root; None for a receipt of no thread.
        ts_ms: when.
    """

    user_id: str
    event_id: str
    thread_id: str | None
    ts_ms: int


class Receipts:
    """Takes receipts; they only ever move forward.

    Args:
        database: where they are.
        journal: takes new ones.
        interning: numbers of users.
        read_markers: takes `m.fully_read`, which is account data.
        clock: when something was read.
        note_activity: is told who reads, on which device.
    """

    def __init__(
        self, *, database: Database, journal: Journal, interning: Interning, read_markers: ReadMarkerWriter,
        clock: Clock, note_activity: NoteActivity,
    ) -> None:  # fmt: skip
        self._database = database
        self._journal = journal
        self._read_markers = read_markers
        self._clock = clock
        self._note_activity = note_activity
        self._events = Events(database)
        self._joined_rooms = JoinedRooms(database, interning)

    async def set(
        self, requester: Requester, room_id: str, type_: str, event_id: str, thread_id: str | None = None
    ) -> None:
        """Set a receipt, or the fully-read marker; it is durable on return. Going back is no matter.

        Raises:
            Forbidden: the user is not in the room.
            InvalidParam: no such type, or the thread does not fit.
            NotFound: there is no such event in the room.
            Unavailable: it could not be stored just now.
        """
        if type_ not in _TYPES:
            raise InvalidParam(f"A receipt is one of {', '.join(_TYPES)}.")
        _check_thread(type_, thread_id)
        room = await self._joined_rooms.find(room_id, requester.user_id)
        stored = await self._event(room, event_id)
        self._note_activity(requester.user_id, requester.device_id)
        if type_ == FULLY_READ:
            await self._read_markers.set_fully_read(requester.user_id, room_id, event_id)
            return
        if thread_id is not None:
            await self._check_in_thread(room, stored, thread_id)
        before = await receipts.find(self._database, room.room_nid, requester.user_id, type_, thread_id)
        if before is not None and before >= stored.position:
            return
        change = ReceiptChange(
            self._journal.next_position(), room_id, requester.user_id, type_, thread_id, event_id,
            self._clock.now_ms(), stored.position,
        )  # fmt: skip
        write = Write()
        receipts.add(write, room.room_nid, change)
        await asyncio.shield(self._journal.append(write))

    async def take_in(self, room_id: str, told: Sequence[ToldReceipt]) -> None:
        """Take in receipts of users of other servers; what fits no member or event there is passed over.

        Raises:
            Unavailable: they could not be stored just now.
        """
        events = await self._events.by_ids({one.event_id for one in told})
        members: dict[str, RoomRow | None] = {}
        furthest: dict[tuple[str, str | None], tuple[ToldReceipt, int, int]] = {}
        for one in told:
            stored = events.get(one.event_id)
            if one.user_id not in members:
                members[one.user_id] = await self._joined_rooms.maybe(room_id, one.user_id)
            room = members[one.user_id]
            if room is None or stored is None or stored.room_nid != room.room_nid or stored.flags & HIDDEN:
                continue
            key = (one.user_id, one.thread_id)
            before = furthest[key][1] if key in furthest else await receipts.find(
                self._database, room.room_nid, one.user_id, READ, one.thread_id
            )  # fmt: skip
            if before is None or before < stored.position:
                furthest[key] = (one, stored.position, room.room_nid)
        if not furthest:
            return
        write = Write()
        for one, event_position, room_nid in furthest.values():
            change = ReceiptChange(
                self._journal.next_position(), room_id, one.user_id, READ, one.thread_id, one.event_id,
                one.ts_ms, event_position,
            )  # fmt: skip
            receipts.add(write, room_nid, change)
        await asyncio.shield(self._journal.append(write))

    async def _event(self, room: RoomRow, event_id: str) -> StoredEvent:
        stored = await self._events.by_id(event_id)
        if stored is None or stored.room_nid != room.room_nid or stored.flags & HIDDEN:
            raise NotFound("There is no such event in this room.")
        return stored

    async def _check_in_thread(self, room: RoomRow, stored: StoredEvent, thread_id: str) -> None:
        root = await self._thread_of(room, stored.event)
        is_root = stored.event.event_id == thread_id
        fits = root is None if thread_id == MAIN_THREAD else is_root or root == thread_id
        if not fits:
            raise InvalidParam("thread_id: the event is not in this thread.")

    async def _thread_of(self, room: RoomRow, event: Event) -> str | None:
        """Find the root of the thread that an event is in; None for one in the main timeline.

        What points at an event of a thread, an edit or a reaction, is in that thread too.
        """
        for _ in range(_RELATIONS_DEEP_MAX):
            relation = None if event.is_state else relation_of(event.content)
            if relation is None or relation.rel_type == THREAD:
                return None if relation is None else relation.event_id
            parent = await self._events.by_id(relation.event_id)
            if parent is None or parent.room_nid != room.room_nid:
                return None
            event = parent.event
        return None


def is_thread_id(thread_id: str) -> bool:
    """Whether a receipt may name this as its thread."""
    try:
        _check_thread(READ, thread_id)
    except InvalidParam:
        return False
    return True


def _check_thread(type_: str, thread_id: str | None) -> None:
    if thread_id is None:
        return
    if type_ == FULLY_READ:
        raise InvalidParam("thread_id: the fully-read marker has no thread.")
    if not thread_id or len(thread_id.encode()) > _THREAD_ID_BYTES_MAX:
        raise InvalidParam("thread_id must be main, or the ID of a thread's root.")
    if thread_id != MAIN_THREAD and not thread_id.startswith("$"):
        raise InvalidParam("thread_id must be main, or the ID of a thread's root.")
