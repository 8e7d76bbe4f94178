"""A worker's one write lane: what is waiting is committed together, in order, whole or not at all.

At most one flush is in flight; whatever is appended meanwhile goes into the next one. A flush is one implicit
transaction: the fence, then one statement a table family. The fence raises an error if another worker has
taken the lease over, or if this flush number has been used, so nothing of a late flush can take effect.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from homeserver.core.changes import Change, EventChange
from homeserver.core.errors import Unavailable
from homeserver.core.positions import SnowflakeClock
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import (
    CommitFailed,
    Committed,
    Failure,
    LeaseLost,
    Observer,
    TaskFailed,
)
from homeserver.runtime.tasks import Tasks
from storage.fence import FENCE, fence_parameters, is_fenced_off, settle
from storage.lane import Lane, LaneLostError, Step, StepFailedError
from storage.pool import Database
from storage.write import Statement, Write
from storage.writers import Lease, Writers

__all__ = ["Journal", "WriteRefused"]

_SENTENCE = "The server could not store this just now. Try again."
_RETRY_DELAYS_MS = (50, 100, 200, 400, 800, 1_600)
_FLUSH_TIMEOUT_S = 30.0
_CLOSE_TIMEOUT_S = 10.0
_INVALID_VALUE = "22023"
_CONFLICTS = frozenset(("40001", "40P01"))
"""Somebody beside the journal changed the same rows at the same time, as who moves events between classes."""
_CONFLICTS_MAX = 3
_BUSY_WRITES_MIN = 3  # as many in one flush come from more than one or two clients that wait for each answer

_Entry = tuple[Write, "asyncio.Future[None]"]


class WriteRefused(Unavailable):
    """The database refused this write by itself.

    Attributes:
        sqlstate: why.
    """

    def __init__(self, sqlstate: str) -> None:
        super().__init__(_SENTENCE)
        self.sqlstate = sqlstate


class Journal:
    """The write lane of one lease.

    Args:
        database: for the settling of doubts; flushes have a connection of their own.
        lease: to write under.
        clock: for positions.
        publish: takes the changes of each commit, before the futures of its writes resolve.
        observer: takes note of commits and failures.
        linger_ms_max: a flush costs as much as several writes, so while there is much to write one waits for
            as many writes as the last one had, but starts no later than this after it. An idle journal
            flushes at once. 0 for no such wait.
        rows_per_flush_max: a flush takes no further write once it has so many rows.

    Attributes:
        writes_waiting_max: `append` refuses more than that.
    """

    writes_waiting_max = 10_000

    def __init__(
        self, database: Database, lease: Lease, clock: Clock,
        publish: Callable[[Sequence[Change]], None], observer: Observer,
        linger_ms_max: int = 10, rows_per_flush_max: int = 2_000,
    ) -> None:  # fmt: skip
        self._database = database
        self._lease = lease
        self._clock = clock
        self._publish = publish
        self._observer = observer
        self._linger_ms_max = linger_ms_max
        self._rows_per_flush_max = rows_per_flush_max
        self._writers = Writers(database, clock)
        self._snowflakes = SnowflakeClock(lease.writer_id, lease.last_position)
        self._waiting: deque[_Entry] = deque()
        self._broken: set[str] = set()  # order keys of which a write failed a moment ago
        self._wake = asyncio.Event()
        self._gathered: asyncio.Future[None] | None = None
        self._writes_gathered = 0
        self._tasks = Tasks(observer)
        self._flushing: asyncio.Task[None] | None = None
        self._lane: Lane | None = None
        self._steps: dict[Statement, Step] = {}
        self._is_closing = False

    async def start(self) -> None:
        """Connect, and begin to renew the lease. Without it the first write does that.

        Raises:
            Unavailable: the database does not answer.
        """
        try:
            self._lane = await Lane.connect(self._database.dsn)
        except LaneLostError as error:
            raise Unavailable(_SENTENCE) from error
        self._ensure_running()

    @property
    def writer_id(self) -> int:
        """The writer ID in this journal's positions."""
        return self._lease.writer_id

    @property
    def last_position(self) -> int:
        """The position assigned last."""
        return self._snowflakes.last

    def next_position(self) -> int:
        """Assign a position. Append its write in the same step of the loop, so that order is kept."""
        return self._snowflakes.next(self._clock.now_ms())

    def raise_floor(self, position: int) -> None:
        """See to it that later positions are above one of another writer."""
        self._snowflakes.raise_floor(position)

    def append(self, write: Write) -> asyncio.Future[None]:
        """Hand over a write; the future resolves when it is durable.

        The future raises `Unavailable` if the write was not committed, and then so do those of all waiting
        writes of the same room, which were made on top of it; a done callback runs before the next append for
        that room is accepted.

        Raises:
            Unavailable: the queue is full, the lease is lost or the journal is closed.
        """
        if self._is_closing or self._lease.is_lost or len(self._waiting) >= self.writes_waiting_max:
            raise Unavailable(_SENTENCE)
        if self._broken and _order_key(write) in self._broken:
            raise Unavailable(_SENTENCE)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((write, future))
        if self._flushing is None:
            self._ensure_running()
        self._wake.set()
        if self._gathered is not None and len(self._waiting) >= self._writes_gathered:
            self._end_gathering()
        return future

    async def close(self) -> None:
        """Flush what is waiting, then end the lease."""
        self._is_closing = True
        if self._flushing is not None:
            self._wake.set()
            self._end_gathering()
            await asyncio.wait([self._flushing], timeout=_CLOSE_TIMEOUT_S)
        await self._tasks.close()
        self._fail_all(self._take_all())
        if self._lane is not None:
            await self._lane.close()
        if not self._lease.is_lost:
            try:
                await self._writers.release(self._lease)
            except Unavailable as error:  # it runs out by itself
                self._observer(Failure(error))

    def _ensure_running(self) -> None:
        if self._flushing is None:
            self._flushing = self._tasks.start(self._flush_all(), "journal")
            self._tasks.start(self._keep_lease(), "lease")

    async def _keep_lease(self) -> None:
        await self._writers.keep(self._lease)
        self._lose_lease()

    def _is_fenced(self) -> bool:
        return self._lease.is_lost

    def _lose_lease(self) -> None:
        if not self._is_closing:
            self._lease.is_lost = True
            self._observer(LeaseLost(self._lease.writer_id))
            self._is_closing = True
            self._wake.set()
        self._fail_all(self._take_all())

    async def _flush_all(self) -> None:
        """Flush for as long as the journal is open."""
        loop = asyncio.get_running_loop()
        writes_expected = 0
        next_start = 0.0
        while True:
            if not self._waiting:
                if self._is_closing:
                    return
                self._wake.clear()
                await self._wake.wait()
            if writes_expected >= _BUSY_WRITES_MIN and (early_s := next_start - loop.time()) > 0:
                await self._gather(writes_expected, early_s)
            next_start = loop.time() + self._linger_ms_max / 1000
            batch = self._take_batch()
            writes_expected = len(batch)
            if batch:
                await self._flush_safely(batch)

    async def _gather(self, writes: int, timeout_s: float) -> None:
        """Wait until so many writes wait, or for so long."""
        if self._is_closing or len(self._waiting) >= writes:
            return
        loop = asyncio.get_running_loop()
        self._writes_gathered = writes
        self._gathered = loop.create_future()
        timer = loop.call_later(timeout_s, self._end_gathering)
        try:
            await self._gathered
        finally:
            timer.cancel()
            self._gathered = None

    def _end_gathering(self) -> None:
        if self._gathered is not None and not self._gathered.done():
            self._gathered.set_result(None)

    async def _flush_safely(self, batch: list[_Entry]) -> None:
        try:
            await self._flush(batch)
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one batch must not stop the lane
            self._observer(TaskFailed(error=error, name="journal"))
        finally:
            self._fail_all([entry for entry in batch if not entry[1].done()])

    def _take_batch(self) -> list[_Entry]:
        batch: list[_Entry] = []
        rows = 0
        while self._waiting and rows < self._rows_per_flush_max:
            entry = self._waiting.popleft()
            batch.append(entry)
            rows += len(entry[0].rows)
        return batch

    def _take_all(self) -> list[_Entry]:
        entries = list(self._waiting)
        self._waiting.clear()
        return entries

    async def _flush(self, batch: list[_Entry]) -> None:
        """Commit a batch; if the database refuses it, each write by itself."""
        error = await self._commit(batch)
        if error is None or self._is_fenced():
            return
        if len(batch) == 1:
            self._refuse(batch[0], error, ())
            return
        refused: set[str | None] = set()
        for index, entry in enumerate(batch):
            key = _order_key(entry[0])
            if key is not None and key in refused:
                continue
            error = await self._commit([entry])
            if self._is_fenced():
                return
            if error is not None:
                refused.add(key)
                self._refuse(entry, error, batch[index + 1 :])

    async def _commit(self, batch: list[_Entry]) -> StepFailedError | None:
        """Commit a batch, however often the connection is lost; returns why the database refused it."""
        try:
            steps, rows = self._steps_of(batch)
        except Exception as error:  # noqa: BLE001 - whoever made the write gave values of the wrong type
            self._observer(CommitFailed(error=error, writes=len(batch)))
            return StepFailedError("encoding", _INVALID_VALUE, repr(error))
        started_ms = self._clock.monotonic_ms()
        lease = self._lease
        number = lease.flush_number + 1
        failures = conflicts = 0
        while True:
            fence = (FENCE, fence_parameters(lease, number, self._snowflakes.last))
            try:
                if self._lane is None:
                    self._lane = await Lane.connect(self._database.dsn)
                async with asyncio.timeout(_FLUSH_TIMEOUT_S):
                    await self._lane.run([fence, *steps])
            except StepFailedError as error:
                self._observer(CommitFailed(error=error, writes=len(batch)))
                if is_fenced_off(error):
                    self._lose_lease()
                elif error.sqlstate in _CONFLICTS and conflicts < _CONFLICTS_MAX:
                    conflicts += 1
                    continue
                return error
            except (LaneLostError, TimeoutError) as error:
                self._observer(CommitFailed(error=error, writes=len(batch)))
                self._lane = None
                is_committed = await self._settle(number, failures)
                failures += 1
                if self._is_fenced():
                    return StepFailedError(FENCE.name, "", "the lease was lost")
                if not is_committed:
                    number += 1  # settling used it up
                    continue
            lease.flush_number = number
            lease.renewed_ms = self._clock.monotonic_ms()
            self._committed(batch)
            self._observer(Committed(len(batch), rows, lease.renewed_ms - started_ms))
            return None

    async def _settle(self, number: int, failures: int) -> bool:
        """Find out whether the flush with this number took place; asks until the database answers."""
        while True:
            await asyncio.sleep(_RETRY_DELAYS_MS[min(failures, len(_RETRY_DELAYS_MS) - 1)] / 1000)
            failures += 1
            try:
                is_committed = await settle(self._database, self._lease, number)
            except Unavailable:
                continue
            if is_committed is None:
                self._lose_lease()
            return is_committed is True

    def _steps_of(self, batch: Sequence[_Entry]) -> tuple[list[tuple[Step, list[bytes]]], int]:
        """Sort the rows of a batch by statement, and encode them."""
        groups: dict[Statement, list[tuple[object, ...]]] = {}
        count = 0
        for write, _ in batch:
            count += len(write.rows)
            for statement, values in write.rows:
                rows = groups.get(statement)
                if rows is None:
                    groups[statement] = [values]
                else:
                    rows.append(values)
        steps: list[tuple[Step, list[bytes]]] = []
        for statement in sorted(groups, key=_rank):
            step = self._steps.get(statement)
            if step is None:
                step = self._steps[statement] = Step.of(statement)
            steps.append((step, step.encode(groups[statement])))
        return steps, count

    def _committed(self, batch: Sequence[_Entry]) -> None:
        changes = [change for write, _ in batch for change in write.changes]
        if changes:
            try:
                self._publish(changes)
            except Exception as error:  # noqa: BLE001 - the rows are durable; a reader's mistake changes nothing
                self._observer(TaskFailed(error=error, name="publish"))
        for _, future in batch:
            if not future.done():
                future.set_result(None)

    def _refuse(self, entry: _Entry, error: StepFailedError, rest: Sequence[_Entry]) -> None:
        """Fail a write, and those that were made on top of it."""
        write, future = entry
        if not future.done():
            future.set_exception(WriteRefused(error.sqlstate))
        key = _order_key(write)
        if key is None:
            return
        self._fail_all([late for late in (*rest, *self._waiting) if _order_key(late[0]) == key])
        self._waiting = deque(late for late in self._waiting if _order_key(late[0]) != key)
        # Whoever waits for the future hears of it in the next passes of the loop; until then they may
        # append what they made on top of the failed write.
        self._broken.add(key)
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._broken.discard, key)

    def _fail_all(self, entries: Sequence[_Entry]) -> None:
        for _, future in entries:
            if not future.done():
                future.set_exception(Unavailable(_SENTENCE))


def _rank(statement: Statement) -> int:
    return statement.rank


def _order_key(write: Write) -> str | None:
    """Writes with the same key are made on top of each other."""
    if write.order_key is not None:
        return write.order_key
    return next((change.room_id for change in write.changes if isinstance(change, EventChange)), None)
