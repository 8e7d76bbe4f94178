"""One queue for each room: what servers send of it is taken in one after the other, as it came.

Rooms are worked at side by side. One that cannot be followed keeps nobody waiting but itself: what takes
long gives its turn away, and no server may have many rooms that take long. A sender waits a moment for what
comes of an event; what takes longer is written down, so that it may be acknowledged.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from federation.server.refusals import Refusals
from federation.server.staging import ATTEMPTS_MAX, Staging, parsed
from homeserver.core.errors import LimitExceeded, MatrixError, Unavailable
from homeserver.core.pdu_verdicts import Dropped, Verdict
from homeserver.rooms.ingest import Postponed
from homeserver.runtime.observation import Failure, Observer
from homeserver.runtime.tasks import Tasks, end_if_cancelled
from storage.tables.received_pdus import ReceivedPdu

__all__ = ["Outcome", "Receive", "RoomQueues"]

Outcome = Verdict | Postponed | None
"""What has come of an event; None: it was here already, or nobody knows yet."""

Receive = Callable[[str, str, Sequence[Any]], Awaitable[Mapping[str, Outcome]]]
"""Takes in events of a room that a server has sent; what has come of each, by ID."""

PATIENCE_S = 0.5
SLOW_S = 1.0
ROOMS_AT_ONCE_MAX = 20
ROOMS_SLOW_MAX = 200
ROOMS_SLOW_PER_ORIGIN_MAX = 10
BATCHES_WAITING_MAX = 20
PDUS_HELD_MAX = 5_000
PDUS_HELD_PER_ORIGIN_MAX = 1_000
BATCH_TIMEOUT_S = 300.0
LOOK_INTERVAL_S = 15.0
_STOPPING = "The server is stopping. Try again."


@dataclass(slots=True, eq=False)
class _Batch:
    """Events of one room that one server sent at once.

    Attributes:
        origin: that server.
        pdus: the events, by ID.
        done: what has come of them; set before any row is let go.
        rows: those of them that are written down.
        is_being_kept: whoever writes them down sees to the rows.
    """

    origin: str
    pdus: Mapping[str, Any]
    done: "asyncio.Future[Mapping[str, Outcome]]"
    rows: Sequence[ReceivedPdu] = ()
    is_being_kept: bool = False


@dataclass(slots=True, eq=False)
class _Room:
    """A room that there is something of.

    Attributes:
        room_id: the room.
        waiting: what is at hand.
        is_busy: it is worked at, or has a place in the order of turns.
        written_by: a server that sent what is written down and not at hand; None: there is no such thing.
    """

    room_id: str
    waiting: deque[_Batch] = field(default_factory=deque)
    is_busy: bool = False
    written_by: str | None = None


@dataclass(slots=True, eq=False)
class _Turn:
    """The work at one batch.

    Attributes:
        origin: on whose behalf.
        is_slow: it goes on for long, and so has given its turn away.
        timer: looks whether it does.
    """

    origin: str
    is_slow: bool = False
    timer: asyncio.TimerHandle | None = None


class RoomQueues:
    """Takes in events, room by room.

    Args:
        receive: takes in events of one room.
        staging: keeps what is acknowledged before it has a place.
        refusals: hears what was refused.
        observer: hears of mistakes of ours.
    """

    def __init__(self, *, receive: Receive, staging: Staging, refusals: Refusals, observer: Observer) -> None:
        self._receive = receive
        self._staging = staging
        self._refusals = refusals
        self._observer = observer
        self._tasks = Tasks(observer)
        self._rooms: dict[str, _Room] = {}
        self._ready: dict[str, deque[_Room]] = {}  # by whoever is to have the next turn
        self._running = 0
        self._slow: Counter[str] = Counter()
        self._is_closed = False
        self._held: Counter[str] = Counter()

    async def start(self) -> None:
        """Go on with what is written down.

        Raises:
            Unavailable: storage does not answer.
        """
        await self._staging.start()
        self._tasks.start(self._look_again(), "received events")

    async def close(self) -> None:
        """End all work; what was acknowledged is written down."""
        self._is_closed = True
        await self._tasks.close()

    async def take_in(self, origin: str, room_id: str, pdus: Mapping[str, Any]) -> Mapping[str, Outcome]:
        """Take in events of a room by their IDs; on return they have their place, or are written down.

        Returns:
            What has come of them, so far as that is known by now.

        Raises:
            LimitExceeded: too much of that server waits already.
            Unavailable: nothing could be stored just now.
        """
        if self._is_closed:
            raise Unavailable(_STOPPING)
        room = self._rooms.get(room_id)
        if room is None:
            room = self._rooms[room_id] = _Room(room_id)
        if (
            room.written_by is not None
            or len(room.waiting) >= BATCHES_WAITING_MAX
            or self._held[origin] + len(pdus) > PDUS_HELD_PER_ORIGIN_MAX
            or self._held.total() + len(pdus) > PDUS_HELD_MAX
        ):
            await self._write_down(room, origin, pdus)
            return {}
        batch = _Batch(origin, pdus, asyncio.get_running_loop().create_future())
        batch.done.add_done_callback(_look)
        self._held[origin] += len(pdus)
        room.waiting.append(batch)
        self._wake(room)
        await asyncio.wait((batch.done,), timeout=PATIENCE_S)
        if not batch.done.done():
            await self._keep(room_id, batch)
        return batch.done.result() if batch.done.done() else {}

    async def look(self) -> None:
        """Take up what is written down and to be tried by now.

        Raises:
            Unavailable: storage does not answer.
        """
        if not await self._staging.has_any():
            return
        for room_id, origin in await self._staging.rooms_due():
            room = self._rooms.setdefault(room_id, _Room(room_id))
            room.written_by = origin
            self._wake(room)

    async def _look_again(self) -> None:
        while True:
            end_if_cancelled()
            try:
                await self.look()
            except Unavailable as error:
                self._observer(Failure(error))
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def _write_down(self, room: _Room, origin: str, pdus: Mapping[str, Any]) -> None:
        try:
            await self._staging.keep(origin, room.room_id, pdus)
        except LimitExceeded:
            self._forget(room)
            raise
        # The room may have been worked off meanwhile.
        room = self._rooms.setdefault(room.room_id, room)
        room.written_by = room.written_by or origin
        self._wake(room)

    async def _keep(self, room_id: str, batch: _Batch) -> None:
        """Write a batch down, which is at hand or worked at."""
        batch.is_being_kept = True
        try:
            batch.rows = await self._staging.keep(batch.origin, room_id, batch.pdus)
        finally:
            batch.is_being_kept = False
        if batch.done.done() and batch.done.exception() is None:
            await self._settle(room_id, batch, batch.done.result())

    # Turns.

    def _wake(self, room: _Room) -> None:
        if self._is_closed or room.is_busy or (not room.waiting and room.written_by is None):
            return
        room.is_busy = True
        origin = _next_origin(room)
        if self._running < ROOMS_AT_ONCE_MAX and origin not in self._ready and self._may_run(origin):
            self._run(room, origin)
        else:
            self._ready.setdefault(origin, deque()).append(room)

    def _may_run(self, origin: str) -> bool:
        return self._slow[origin] < ROOMS_SLOW_PER_ORIGIN_MAX

    def _run_next(self) -> None:
        while self._running < ROOMS_AT_ONCE_MAX and not self._is_closed:
            origin = next((one for one in self._ready if self._may_run(one)), None)
            if origin is None:
                return
            rooms = self._ready.pop(origin)
            room = rooms.popleft()
            if rooms:
                self._ready[origin] = rooms  # after all others
            self._run(room, origin)

    def _run(self, room: _Room, origin: str) -> None:
        self._running += 1
        turn = _Turn(origin)
        turn.timer = asyncio.get_running_loop().call_later(SLOW_S, self._slow_down, turn)
        self._tasks.start(self._work(room, turn), "received events of a room")

    def _slow_down(self, turn: _Turn) -> None:
        if self._slow.total() >= ROOMS_SLOW_MAX:
            turn.timer = asyncio.get_running_loop().call_later(SLOW_S, self._slow_down, turn)
            return
        turn.is_slow = True
        self._running -= 1
        self._slow[turn.origin] += 1
        self._run_next()

    def _end(self, room: _Room, turn: _Turn) -> None:
        assert turn.timer is not None
        turn.timer.cancel()
        if turn.is_slow:
            self._slow[turn.origin] -= 1
            if not self._slow[turn.origin]:
                del self._slow[turn.origin]
        else:
            self._running -= 1
        room.is_busy = False
        self._wake(room)
        self._run_next()
        self._forget(room)

    def _forget(self, room: _Room) -> None:
        if not room.is_busy and not room.waiting and self._rooms.get(room.room_id) is room:
            del self._rooms[room.room_id]

    # Work.

    async def _work(self, room: _Room, turn: _Turn) -> None:
        try:
            if room.waiting:
                batch = room.waiting.popleft()
                try:
                    await self._process(room.room_id, batch)
                finally:
                    self._let_go(batch)
                    if not batch.done.done():
                        batch.done.set_exception(Unavailable(_STOPPING))
            else:
                await self._process_written(room)
        except Unavailable as error:
            # What is written down is taken up again by the next look.
            self._observer(Failure(error))
        finally:
            self._end(room, turn)

    def _let_go(self, batch: _Batch) -> None:
        self._held[batch.origin] -= len(batch.pdus)
        if not self._held[batch.origin]:
            del self._held[batch.origin]

    async def _process_written(self, room: _Room) -> None:
        room.written_by = None
        rows = await self._staging.due(room.room_id)
        if not rows:
            return
        origin = rows[0].origin
        of_origin = list(takewhile(lambda row: row.origin == origin, rows))
        room.written_by = rows[-1].origin  # there may be more
        done: asyncio.Future[Mapping[str, Outcome]] = asyncio.get_running_loop().create_future()
        done.add_done_callback(_look)
        pdus = {row.event_id: parsed(row) for row in of_origin}
        await self._process(room.room_id, _Batch(origin, pdus, done, of_origin))

    async def _process(self, room_id: str, batch: _Batch) -> None:
        outcomes: Mapping[str, Outcome]
        try:
            outcomes = await self._outcomes(room_id, batch)
            if not batch.rows and not batch.is_being_kept:
                outcomes = await self._put_off(room_id, batch, outcomes)
        except Unavailable as error:
            outcomes = dict.fromkeys(batch.pdus, Postponed(error.error))
            if not batch.rows and not batch.is_being_kept:
                batch.done.set_exception(error)  # whoever sent it hears of it, and sends it again
                return
        batch.done.set_result(outcomes)
        self._refusals.note(batch.origin, room_id, outcomes)
        if batch.rows:
            await self._settle(room_id, batch, outcomes)

    async def _outcomes(self, room_id: str, batch: _Batch) -> dict[str, Outcome]:
        pdus = batch.pdus
        try:
            async with asyncio.timeout(BATCH_TIMEOUT_S):
                return dict(await self._receive(batch.origin, room_id, list(pdus.values())))
        except TimeoutError:
            return dict.fromkeys(pdus, Postponed("It took too long to find out what was before it."))
        except Unavailable:
            raise
        except MatrixError as error:
            return dict.fromkeys(pdus, Dropped(error.error))
        except Exception as error:  # noqa: BLE001 - a mistake of ours with one event must not stop the room
            self._observer(Failure(error))
            if len(pdus) == 1:
                return dict.fromkeys(pdus, Postponed("This server failed to look at it."))
        outcomes: dict[str, Outcome] = {}
        for event_id, pdu in pdus.items():
            outcomes |= await self._outcomes(room_id, _Batch(batch.origin, {event_id: pdu}, batch.done))
        return outcomes

    async def _put_off(
        self, room_id: str, batch: _Batch, outcomes: Mapping[str, Outcome]
    ) -> Mapping[str, Outcome]:
        """Write down what is to be tried again, before anybody is told that it is taken in."""
        late = {
            event_id: batch.pdus[event_id]
            for event_id, outcome in outcomes.items()
            if isinstance(outcome, Postponed) and event_id in batch.pdus
        }
        if not late:
            return outcomes
        try:
            await self._staging.keep(batch.origin, room_id, late, attempts=1)
        except LimitExceeded as error:
            return {**outcomes, **dict.fromkeys(late, Dropped(error.error))}
        return outcomes

    async def _settle(self, room_id: str, batch: _Batch, outcomes: Mapping[str, Outcome]) -> None:
        """Let go of the rows of what has a place now or was refused, and put off the others."""
        late: list[ReceivedPdu] = []
        gone: list[ReceivedPdu] = []
        given_up: dict[str, Outcome] = {}
        for row in batch.rows:
            outcome = outcomes.get(row.event_id)
            if not isinstance(outcome, Postponed):
                gone.append(row)
            elif row.attempts + 1 < ATTEMPTS_MAX:
                late.append(row)
            else:
                gone.append(row)
                given_up[row.event_id] = Dropped(outcome.reason)
        await self._staging.try_later(late)
        await self._staging.let_go(gone)
        self._refusals.note(batch.origin, room_id, given_up)


def _next_origin(room: _Room) -> str:
    return room.waiting[0].origin if room.waiting else room.written_by or ""


def _look(done: "asyncio.Future[Mapping[str, Outcome]]") -> None:
    if not done.cancelled():
        done.exception()  # whoever waits hears of it; nobody may be left
