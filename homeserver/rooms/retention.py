"""How long rooms keep their timelines: follows what rooms and configuration say, and sees to it.

One background job, in this order: what rooms want is compared with how they are kept; events move where that
changed; what is over its lifetime goes. All of it is found in storage, so a job that was interrupted begins
again and does only what is left.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from homeserver.config.model import RetentionSection
from homeserver.core.canonical_json import parse_json
from homeserver.core.changes import Change, EventChange
from homeserver.core.content.retention import RETENTION, Keeping, RetentionPolicy, keeping_of
from homeserver.core.errors import NotFound
from homeserver.rooms.registry import RoomRegistry
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import EventsMoved, Failure, Observer
from homeserver.runtime.tasks import end_if_cancelled
from storage.expiry import EventExpiry
from storage.partitions import Partitions, position_at
from storage.pool import Database
from storage.retention import Moves
from storage.tables.retention import RetainedRoom, Retention

__all__ = ["RoomRetention"]

ROOMS_PER_LOOK_MAX = 500
MOVES_AT_ONCE_MAX = 50
EXPIRY_INTERVAL_MS = 3_600_000
_TICK_S = 60.0
_PAUSE_S = 0.02
"""After each batch of events on the move: others have work to do too."""


class RoomRetention:
    """Keeps every room in its retention class, and drops what is over its lifetime.

    Args:
        section: of the configuration.
        redacted_content_kept_ms: how long the content of redacted events is kept.
        database: where the events are.
        registry: the active rooms, whose next events go to another class when a room moves.
        clock: tells ages.
        observer: hears what was done, and what could not be done.
        pause_s: between batches of events on the move.
    """

    def __init__(
        self, *, section: RetentionSection, redacted_content_kept_ms: int, database: Database,
        registry: RoomRegistry, clock: Clock, observer: Observer, pause_s: float = _PAUSE_S,
    ) -> None:  # fmt: skip
        self._section = section
        self._redacted_content_kept_ms = redacted_content_kept_ms
        self._registry = registry
        self._clock = clock
        self._observer = observer
        self._pause_s = pause_s
        self._table = Retention(database)
        self._moves = Moves(database=database, clock=clock)
        self._partitions = Partitions(database, clock, observer)
        self._expiry = EventExpiry(
            database=database, partitions=self._partitions, clock=clock, observer=observer
        )
        self._policy: RetentionPolicy | None = None
        self._is_compared = False
        self._to_check: set[str] = set()
        self._wake = asyncio.Event()
        self._at_work = asyncio.Lock()
        self._expired_ms: int | None = None
        self._counts: dict[int, tuple[int, int]] = {}  # of rooms on the move: events moved and forgotten

    def follow(self, changes: Sequence[Change]) -> None:
        """Take note of changes that were committed: a subscriber of the bus."""
        for change in changes:
            if isinstance(change, EventChange) and _concerns(change):
                self._to_check.add(change.room_id)
                self._wake.set()

    async def run(self) -> None:
        """Do for ever what is to be done; to be started once, in the background."""
        while True:
            self._wake.clear()
            try:
                await self.work()
            except Exception as error:  # noqa: BLE001 - what fails now is done the next time, and so is the rest
                self._observer(Failure(error))
            end_if_cancelled()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), _TICK_S)

    async def work(self) -> None:
        """Do what is to be done now.

        Raises:
            Unavailable: storage does not answer; what was done stays done.
        """
        async with self._at_work:
            await self._work()

    async def _work(self) -> None:
        now_ms = self._clock.now_ms()
        await self._table.set_present(position_at(now_ms), self._redacted_content_kept_ms)
        if self._policy is None:
            self._policy = await self._begin()
        if not self._is_compared:
            await self._compare_all(self._policy)
            self._is_compared = True
        await self._check_noted(self._policy)
        await self._move_all(self._policy)
        # Nothing may expire from a class that a room has left, before its events have left too.
        if self._expired_ms is None or now_ms - self._expired_ms >= EXPIRY_INTERVAL_MS:
            await self._expire()
            self._expired_ms = now_ms

    async def _begin(self) -> RetentionPolicy:
        section, classes = self._section, dict[int, int]()
        if section.enabled:
            classes = await self._table.add_classes(section.class_lifetimes_ms)
            await self._partitions.use_classes(classes)
        return RetentionPolicy(
            default_lifetime_ms=section.default_lifetime_ms or None,
            lifetime_ms_min=section.lifetime_ms_min,
            lifetime_ms_max=section.lifetime_ms_max or None,
            class_lifetimes_ms=classes,
        )

    async def _compare_all(self, policy: RetentionPolicy) -> None:
        """Look at every room once: the configuration may be another than the last time."""
        after, kept_only = 0, not self._section.enabled
        while rooms := await self._table.rooms(after, ROOMS_PER_LOOK_MAX, kept_only=kept_only):
            self._to_check.update([room.room_id for room in rooms if _wants(room, policy) != room.keeping])
            await self._check_noted(policy)
            after = rooms[-1].room_nid

    async def _check_noted(self, policy: RetentionPolicy) -> None:
        while self._to_check:
            # Taken out first: what is noted from now on may come too late for this look.
            room_id = self._to_check.pop()
            try:
                await self._check(room_id, policy)
            except BaseException:
                self._to_check.add(room_id)
                raise

    async def _check(self, room_id: str, policy: RetentionPolicy) -> None:
        """See to it that a room is kept as it wants; its events move later."""
        room = await self._table.room(room_id)
        if room is None:
            return
        keeping = _wants(room, policy)
        if keeping != room.keeping:
            await self._table.plan(room.room_nid, keeping)
        with suppress(NotFound):
            # One that was loaded before the plan was committed has the old class; one loaded later has not.
            actor = await self._registry.actor(room_id)
            actor.retention_class = keeping.retention_class
            # What was composed before is in the old class: the move must not begin before it is there.
            await self._registry.settled(actor)

    async def _move_all(self, policy: RetentionPolicy) -> None:
        while moving := await self._table.moving(MOVES_AT_ONCE_MAX):
            for room_nid, room_id in moving:
                moved = await self._moves.step(room_nid)
                events, forgotten = self._counts.pop(room_nid, (0, 0))
                events, forgotten = events + moved.events, forgotten + moved.forgotten
                if moved.is_done:
                    self._observer(EventsMoved(room_id, events, forgotten))
                else:
                    self._counts[room_nid] = (events, forgotten)
                await asyncio.sleep(self._pause_s)
                await self._check_noted(policy)

    async def _expire(self) -> None:
        classes = await self._table.classes()
        if classes and self._section.enabled:
            await self._partitions.make_ahead()
        for retention_class, lifetime_ms in classes.items():
            await self._expiry.expire(retention_class, lifetime_ms)


def _wants(room: RetainedRoom, policy: RetentionPolicy) -> Keeping:
    content = None if room.json is None else parse_json(room.json, strict=False).get("content")
    return keeping_of(content if isinstance(content, dict) else None, policy)


def _concerns(change: EventChange) -> bool:
    """Whether a change may mean that its room is to be kept for another time."""
    event = change.event
    if event.state_key == "" and event.type in {RETENTION, "m.room.create"}:
        return True
    if change.redacted is not None and change.redacted.type == RETENTION:
        return True
    key = (RETENTION, "")
    return key in change.removed or any((one.type, one.state_key) == key for one in change.resets)
