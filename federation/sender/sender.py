"""Follows the bus, and sees to it that every server gets what it is to be told, whatever ends in between.

What was committed is sent from memory. A durable position says up to where all was acknowledged, or noted for
servers that lag behind: so after a crash only what is above it is looked at again. See decision 0012.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from federation.destinations import Destinations
from federation.sender.delivery import Delivery
from federation.sender.queue import Notes, Queue, QueuedEvent
from federation.sender.recipients import Recipients
from homeserver.core.changes import Change, DeviceListChange, EventChange, RemoteMessagesChange
from homeserver.core.errors import Unavailable
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Observer
from homeserver.runtime.tasks import Tasks
from storage.journal import Journal
from storage.pool import Database
from storage.tables import sending
from storage.write import Write

__all__ = ["Sender"]

TICK_S = 1.0
DELIVERIES_MAX = 200
"""Servers that are sent to at the same time; those of our own organisation do not count."""
TRANSACTIONS_PER_TURN_MAX = 20
NOTED_ROWS_MAX = 2_000
IDLE_NOTE_MS = 30_000
"""The position of a server whose rooms are its own is brought up to date now and then."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is about to be stored."""

    notes: list[tuple[Queue, Notes]]
    position: int


class Sender:
    """Sends to other servers.

    Args:
        database: where it is noted who lacks what.
        journal: takes those notes.
        delivery: brings what waits to a server.
        destinations: knows who does not answer.
        recipients: knows whom something is for.
        clock: for all times.
        observer: hears of what fails.
        is_region: says which servers are of our own organisation.
    """

    def __init__(
        self, *, database: Database, journal: Journal, delivery: Delivery, destinations: Destinations,
        recipients: Recipients, clock: Clock, observer: Observer,
        is_region: Callable[[str], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self._database = database
        self._journal = journal
        self._delivery = delivery
        self._destinations = destinations
        self._recipients = recipients
        self._clock = clock
        self._observer = observer
        self._is_region = is_region
        self._queues: dict[str, Queue] = {}
        self._running: set[str] = set()
        self._called: set[str] = set()  # something came for them while they are sent to
        self._places_taken = 0
        self._ready: dict[str, None] = {}  # servers whose turn comes when that of another is over
        self._tasks = Tasks(observer)
        self._seen = 0
        self._noted = 0
        self._noted_ms = 0
        self._has_moved = False
        self._is_open = False

    async def start(self) -> None:
        """Find out what servers lack since before this process began. Nothing may be committed meanwhile."""
        self._destinations.listen(self.wake)
        noted = await sending.sender_position(self._database)
        self._seen = self._journal.last_position
        self._noted = self._seen if noted is None else noted
        for name, lacking in (await sending.lacking(self._database)).items():
            queue = self.queue(name)
            for room_id, position in lacking.rooms.items():
                queue.lack(room_id, position, noted=position)
            for user_id, position in lacking.users.items():
                queue.add_user(user_id, position, is_noted=True)
        for name in self._recipients.outbox.destinations:
            self.queue(name).has_messages = True
        if noted is None:
            await self._store(Write(), self._noted)
        else:
            await self._recover(noted)
        self._has_moved = self._is_open = True

    async def run(self) -> None:
        """Note who lacks what, and try again those that did not answer, for as long as the server runs."""
        while True:
            await self.tick()
            await asyncio.sleep(TICK_S)

    async def tick(self) -> None:
        """Do what is due."""
        self.wake_due()
        with suppress(Unavailable):  # the next time, then
            while await self._note():
                pass
        for name in [name for name, queue in self._queues.items() if queue.is_empty]:
            if name not in self._running:
                del self._queues[name]

    def follow(self, changes: Sequence[Change]) -> None:
        """Take in what was committed."""
        for change in changes:
            if isinstance(change, EventChange):
                self._seen = max(self._seen, change.position)
                if change.is_made_here or change.is_relayed:
                    self._recipients.of_event(change, self._take_event)
            elif isinstance(change, DeviceListChange):
                self._seen = max(self._seen, change.position)
                self._recipients.of_device_list(change, self._take_user)
            elif isinstance(change, RemoteMessagesChange):
                self._recipients.outbox.committed(change)
                for name, _ in change.counts:
                    self.queue(name).has_messages = True
                    self.wake(name)

    def queue(self, name: str) -> Queue:
        """What waits for a server."""
        queue = self._queues.get(name)
        if queue is None:
            queue = self._queues[name] = Queue(name)
        return queue

    @property
    def queues(self) -> dict[str, Queue]:
        """What waits, by server."""
        return self._queues

    @property
    def seen(self) -> int:
        """The position of the last change that was looked at."""
        return self._seen

    def is_failing(self, name: str) -> bool:
        """Whether a server did not answer when it was last asked."""
        return self._destinations.is_failing(name)

    def wake(self, name: str) -> None:
        """Send to a server what waits for it, unless that goes on already, or it is not to be asked now."""
        queue = self._queues.get(name)
        if queue is None or not self._is_open or not queue.has_work:
            return
        if name in self._running:
            self._called.add(name)
            return
        if not self._destinations.is_due(name):
            return
        is_region = self._is_region(name)
        if not is_region:
            if self._places_taken >= DELIVERIES_MAX:
                self._ready[name] = None
                return
            self._places_taken += 1
        self._ready.pop(name, None)
        self._running.add(name)
        self._tasks.start(self._deliver(queue), f"sending to {name}")

    def wake_due(self) -> None:
        """Send to all servers for which something waits and that may be asked."""
        for name in list(self._queues):
            self.wake(name)

    async def close(self) -> None:
        """End, after noting who lacks what. What is on its way may arrive once more after the next start."""
        self._is_open = False
        await self._tasks.close()
        for queue in self._queues.values():
            queue.give_up_transaction()
        with suppress(Unavailable):
            while await self._note():
                pass

    async def _deliver(self, queue: Queue) -> None:
        has_more = False
        self._called.discard(queue.name)
        try:
            has_more = await self._delivery.deliver(queue, TRANSACTIONS_PER_TURN_MAX)
        except Unavailable as error:  # our own database: `wake_due` tries again
            self._observer(Failure(error))
            return
        finally:
            self._running.discard(queue.name)
            self._places_taken -= not self._is_region(queue.name)
            if self._ready:
                name = next(iter(self._ready))
                del self._ready[name]
                self.wake(name)
        if has_more or queue.name in self._called:  # who has had their turn goes on after those who wait
            asyncio.get_running_loop().call_soon(self.wake, queue.name)

    def _take_event(self, servers: Iterable[str], change: EventChange) -> None:
        queued = QueuedEvent(change.position, change.room_id, change.event)
        for name in servers:
            is_failing = self._destinations.is_failing(name)
            self.queue(name).add_event(queued, is_failing=is_failing)
            if not is_failing:  # else `wake_due` does, in time
                self.wake(name)
            self._has_moved = True

    def _take_user(self, servers: Iterable[str], change: DeviceListChange) -> None:
        for name in servers:
            self.queue(name).add_user(change.user_id, change.position)
            self.wake(name)
            self._has_moved = True

    async def _recover(self, position: int) -> None:
        for room_id in await sending.rooms_with_remotes_after(self._database, position):
            for name in await self._recipients.of_room(room_id, position + 1):
                self.queue(name).lack(room_id, position + 1)
        for name, users in (await self._recipients.of_device_lists_after(position)).items():
            for user_id, changed in users.items():
                self.queue(name).add_user(user_id, changed)

    async def _note(self) -> bool:
        """Store who lacks what; whether there is more of it."""
        plan, is_all = self._plan()
        if plan is None:
            return False
        write = Write()
        for queue, notes in plan.notes:
            for room_id, start in notes.rooms.items():
                write.add(sending.ROOM_UPSERT, queue.name, room_id, start)
            for user_id, at in notes.users.items():
                write.add(sending.USER_UPSERT, queue.name, user_id, at)
            for room_id in notes.rooms_done:
                write.add(sending.ROOM_DELETE, queue.name, room_id)
            for user_id in notes.users_done:
                write.add(sending.USER_DELETE, queue.name, user_id)
        try:
            await self._store(write, plan.position)
        except BaseException:
            for queue, _ in plan.notes:
                queue.is_noted = False
            raise
        for queue, notes in plan.notes:
            queue.noted(notes)
        return not is_all

    async def _store(self, write: Write, position: int) -> None:
        write.add(sending.SENDER_POSITION_UPSERT, position)
        await asyncio.shield(self._journal.append(write))
        self._noted, self._noted_ms = position, self._clock.monotonic_ms()

    def _plan(self) -> tuple[_Plan | None, bool]:
        """Say what is to be stored, and whether that is all of it."""
        is_idle = self._clock.monotonic_ms() - self._noted_ms < IDLE_NOTE_MS
        if not self._has_moved and is_idle:
            return None, True
        position, rows = self._seen, 0
        held = self._recipients.lowest_pending
        notes, is_all = [], True
        for queue in self._queues.values():
            lowest = queue.lowest_live
            if not queue.is_noted:
                if rows < NOTED_ROWS_MAX:
                    told = queue.notes()
                    rows += len(told)
                    notes.append((queue, told))
                else:
                    lowest = queue.lowest_unnoted()
                    is_all = False
            if lowest is not None:
                held = lowest if held is None else min(held, lowest)
        if held is not None:
            position = min(position, held - 1)
        if not rows and position <= self._noted:
            self._has_moved = bool(self._queues)
            return None, True
        return _Plan(notes, max(position, self._noted)), is_all
