"""Sticky events that were soft-failed: told after all, once they pass with the state of their room.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4354

They have no place in the timeline; they take one in the stream of sticky events.
"""

import asyncio
from collections.abc import Sequence

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.changes import Change, EventChange, StickyChange
from homeserver.core.content.policy import policy_server_of
from homeserver.core.errors import MatrixError, NotFound
from homeserver.core.event.pdu import Event
from homeserver.core.event.sticky import STICKY
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.room_state import NotLoadedError
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Observer
from homeserver.runtime.tasks import end_if_cancelled
from storage.pool import Database
from storage.tables.events import Events
from storage.tables.rooms import add_room_tip
from storage.tables.sticky_events import move_soft_failed, rooms_with_soft_failed, soft_failed_in
from storage.write import Write

__all__ = ["StickyRechecks"]

EVENTS_PER_ROOM_MAX = 100
ROOMS_MAX = 10_000
_CREATE: StateKey = ("m.room.create", "")
_POLICY: StateKey = ("m.room.policy", "")
_RETRY_S = 5.0


class StickyRechecks:
    """Checks soft-failed sticky events again when the state of their room has changed.

    Args:
        database: where they are.
        registry: the rooms.
        events: reads events.
        clock: tells what is over.
        observer: hears of failures.
    """

    def __init__(
        self, *, database: Database, registry: RoomRegistry, events: Events, clock: Clock, observer: Observer
    ) -> None:
        self._database = database
        self._registry = registry
        self._events = events
        self._clock = clock
        self._observer = observer
        self._rooms: dict[str, None] = {}  # in which some are waiting, the one heard of longest ago first
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()

    def follow(self, changes: Sequence[Change]) -> None:
        """Follow the bus: what is soft-failed waits until the state of its room changes."""
        for change in changes:
            if isinstance(change, StickyChange):
                if change.is_soft_failed:
                    self._rooms[change.room_id] = None
                    if len(self._rooms) > ROOMS_MAX:
                        del self._rooms[next(iter(self._rooms))]
            elif isinstance(change, EventChange) and change.room_id in self._rooms and _changes_state(change):
                self._due[change.room_id] = None
                self._wake.set()

    async def run(self) -> None:
        """Check what is due, for ever; to be started once, in the background."""
        is_read = False
        while True:
            end_if_cancelled()
            self._wake.clear()
            try:
                if not is_read:
                    await self.start()
                    is_read = True
                await self.work()
            except MatrixError as error:
                self._observer(Failure(error))
                await asyncio.sleep(_RETRY_S)
            else:
                await self._wake.wait()

    async def start(self) -> None:
        """Learn in which rooms some are waiting since before this process.

        Raises:
            Unavailable: the database does not answer.
        """
        found = await rooms_with_soft_failed(self._database, self._clock.now_ms())
        self._rooms.update(dict.fromkeys(found[:ROOMS_MAX]))
        self._due.update(dict.fromkeys(found[:ROOMS_MAX]))

    async def work(self) -> None:
        """Check the events of all rooms whose state has changed.

        Raises:
            Unavailable: the database does not answer; what was not checked stays due.
        """
        while self._due:
            room_id = next(iter(self._due))
            del self._due[room_id]
            try:
                await self._check(room_id)
            except NotFound:
                continue  # the room is gone
            except MatrixError:
                self._due[room_id] = self._rooms[room_id] = None
                raise

    async def _check(self, room_id: str) -> None:
        self._rooms.pop(room_id, None)  # put back if some are left, by whoever learns of it
        room = await self._registry.actor(room_id)
        waiting = await soft_failed_in(
            self._database, room.room_nid, self._clock.now_ms(), limit=EVENTS_PER_ROOM_MAX
        )
        stored = await self._events.by_ids(waiting)
        is_left = len(waiting) == EVENTS_PER_ROOM_MAX
        for event_id in waiting:
            one = stored.get(event_id)
            if one is not None and STICKY in one.event.pdu and not await self._passes(room_id, one.event):
                is_left = True
        if is_left:
            self._rooms[room_id] = None

    async def _passes(self, room_id: str, event: Event) -> bool:
        """Let an event take its place, if the current state allows it."""
        while True:
            room = await self._registry.actor(room_id)
            try:
                if not _is_allowed(room, event):
                    return False
                committed = self._move(room, event)
            except NotLoadedError as error:
                await self._registry.loading.load_state(room, error.keys)
                continue
            await asyncio.shield(committed)
            return True

    def _move(self, room: RoomActor, event: Event) -> "asyncio.Future[None]":
        journal = self._registry.journal
        position = journal.next_position()
        write = Write(order_key=room.room_id)
        move_soft_failed(write, room.room_nid, event.event_id, position)
        # Whoever comes back after a while finds by the last position that there is news in the room.
        add_room_tip(
            write, room.room_nid, extremities=[one.event.event_id for one in room.extremities],
            depth=room.depth, last_position=position, state_group=room.chain.group,
        )  # fmt: skip
        write.changes.append(StickyChange(position, room.room_id, event))
        committed = self._registry.append(room, write)
        room.last_position = position
        return committed


def _is_allowed(room: RoomActor, event: Event) -> bool:
    keys = auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content)
    state = room.state.select((_CREATE, _POLICY, *keys))
    if policy_server_of(state.pop(_POLICY, None)) is not None:
        return False  # it was refused by the policy server, or never shown to it
    return authorize(event, state) is None


def _changes_state(change: EventChange) -> bool:
    own = change.event.state_key is not None and change.is_current
    return own or bool(change.resets or change.removed)
