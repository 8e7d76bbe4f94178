"""What goes wrong in a server: reads that fail, flushes that are refused, crashes before and after them."""

from dataclasses import dataclass

from homeserver.core.errors import Unavailable
from storage.lane import StepFailedError

_OF_THE_LEASE = ("UPDATE writers", "INSERT INTO writers")
"""What the heartbeat does depends on the time of the machine, so it must not count."""


@dataclass
class Fuse:
    """Blows at the n-th read, or at the n-th flush, from when it was set.

    Attributes:
        reads_left: until a read fails; None if none will.
        flushes_left: until a flush fails; None if none will.
        is_crash: after that nothing works any more.
        is_late: the flush that fails has taken place, but nobody hears of it.
        flushes_failing: how many flushes fail, one after the other.
        is_blown: the server has crashed.
    """

    reads_left: int | None = None
    flushes_left: int | None = None
    is_crash: bool = False
    is_late: bool = False
    flushes_failing: int = 1
    is_blown: bool = False

    def set(self, *, reads=None, flushes=None, flushes_failing=1, is_crash=False, is_late=False):
        self.reads_left, self.flushes_left = reads, flushes
        self.flushes_failing = flushes_failing
        self.is_crash, self.is_late = is_crash, is_late

    def clear(self):
        self.set()

    def burns_at_read(self):
        if self.is_blown:
            return True
        if self.reads_left is not None:
            self.reads_left -= 1
            if self.reads_left < 0:
                self._burn()
                return True
        return False

    def burns_at_flush(self):
        if self.is_blown:
            return True
        if self.flushes_left is not None:
            self.flushes_left -= 1
            if self.flushes_left < 0:
                self.flushes_failing -= 1
                if self.is_crash or not self.flushes_failing:
                    self._burn()
                return True
        return False

    def _burn(self):
        self.is_blown = self.is_crash
        self.reads_left = self.flushes_left = None


class FaultyDatabase:
    """A database whose reads go through a fuse."""

    def __init__(self, database, fuse):
        self._database = database
        self._fuse = fuse

    @property
    def dsn(self):
        return self._database.dsn

    async def fetch(self, statement, *parameters):
        self._check(statement)
        return await self._database.fetch(statement, *parameters)

    async def fetch_one(self, statement, *parameters):
        self._check(statement)
        return await self._database.fetch_one(statement, *parameters)

    async def execute(self, statement, *parameters):
        self._check(statement)
        return await self._database.execute(statement, *parameters)

    def transaction(self):
        self._check("")
        return self._database.transaction()

    def _check(self, statement):
        if not statement.startswith(_OF_THE_LEASE) and self._fuse.burns_at_read():
            raise Unavailable("The fuse has blown.")


class FaultyLane:
    """A lane whose flushes go through a fuse."""

    def __init__(self, lane, fuse):
        self._lane = lane
        self._fuse = fuse

    async def run(self, steps):
        was_blown = self._fuse.is_blown
        if self._fuse.burns_at_flush():
            if self._fuse.is_late and not was_blown:
                await self._lane.run(steps)
            raise StepFailedError("the fuse", "58000", "has blown")
        await self._lane.run(steps)

    async def close(self):
        await self._lane.close()
