"""Which servers do not answer, and when they may be asked again: later each time, up to hours.

Who is heard from is asked again at once. Servers of our own organisation are asked again within seconds.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from homeserver.core.errors import Unavailable
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Level, Observation, Observer
from homeserver.runtime.randomness import Randomness
from storage.pool import Database
from storage.tables import destinations
from storage.tables.destinations import Trouble

__all__ = ["DestinationAnswers", "DestinationFails", "Destinations"]

INTERVAL_MS_MIN = 5_000
INTERVAL_MS_MAX = 21_600_000
REGION_INTERVAL_MS_MAX = 2_000
TOLD_FROM_MS = 60_000
"""An operator is told of a server once it is left alone for so long: shorter troubles pass by themselves."""
HEARD_AGAIN_MS = 10_000
"""A server that is heard from and cannot be reached all the same is not asked more often than that."""
TROUBLES_MAX = 100_000
SAVE_INTERVAL_S = 2.0


@dataclass(frozen=True, slots=True)
class DestinationFails(Observation):
    """A server does not answer, and is left alone for a while."""

    level: ClassVar[Level] = Level.WARNING
    destination: str
    interval_ms: int


@dataclass(frozen=True, slots=True)
class DestinationAnswers(Observation):
    """A server answers that did not for a while."""

    destination: str
    failed_for_ms: int


class Destinations:
    """Remembers which servers do not answer; implements `federation.client.ports.Availability`.

    Args:
        database: where it outlives the process.
        clock: for all times.
        randomness: so that many who failed together are not asked together again.
        observer: hears of servers that fail for long.
        is_region: says which servers are of our own organisation.
    """

    def __init__(
        self, *, database: Database, clock: Clock, randomness: Randomness, observer: Observer,
        is_region: Callable[[str], bool] = lambda _: False,
    ) -> None:  # fmt: skip
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._observer = observer
        self._is_region = is_region
        self._troubles: dict[str, Trouble] = {}
        self._heard_ms: dict[str, int] = {}
        self._dirty: set[str] = set()
        self._listeners: list[Callable[[str], None]] = []

    async def start(self) -> None:
        """Read what was known when the process before this one ended."""
        self._troubles = await destinations.in_trouble(self._database, limit=TROUBLES_MAX)

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the name of each server that may be asked again before its time."""
        self._listeners.append(listener)

    def check(self, destination: str) -> None:
        """Refuse while a server is left alone.

        Raises:
            Unavailable: it failed lately.
        """
        if not self.is_due(destination):
            raise Unavailable(f"{destination} did not answer lately.")

    def is_due(self, destination: str) -> bool:
        """Whether a server may be asked now."""
        trouble = self._troubles.get(destination)
        return trouble is None or trouble.retry_ms <= self._clock.now_ms()

    def is_failing(self, destination: str) -> bool:
        """Whether a server failed when it was last asked."""
        return destination in self._troubles

    def trouble(self, destination: str) -> Trouble | None:
        """What is known of a server that failed when it was last asked."""
        return self._troubles.get(destination)

    def all_failing(self) -> dict[str, Trouble]:
        """Every server that failed when it was last asked."""
        return dict(self._troubles)

    def succeeded(self, destination: str) -> None:
        """Note that a server answered."""
        trouble = self._troubles.pop(destination, None)
        if trouble is None:
            return
        self._heard_ms.pop(destination, None)
        self._dirty.add(destination)
        failed_for_ms = self._clock.now_ms() - trouble.failing_since_ms
        if failed_for_ms >= TOLD_FROM_MS:
            self._observer(DestinationAnswers(destination, failed_for_ms))
        self._tell(destination)

    def failed(self, destination: str) -> None:
        """Note that a server did not answer. Several who were asking it at once count as one."""
        now_ms = self._clock.now_ms()
        trouble = self._troubles.get(destination)
        if trouble is None:
            if len(self._troubles) >= TROUBLES_MAX:
                return  # it is asked again at once; so many cannot all be real
            trouble = self._troubles[destination] = Trouble(now_ms, now_ms, 0, 0)
        elif trouble.retry_ms > now_ms:
            return
        longest_ms = REGION_INTERVAL_MS_MAX if self._is_region(destination) else INTERVAL_MS_MAX
        trouble.interval_ms = min(longest_ms, max(INTERVAL_MS_MIN, trouble.interval_ms * 2))
        chance = int.from_bytes(self._randomness.token_bytes(2), "big") / 65_536
        trouble.failed_ms = now_ms
        trouble.retry_ms = now_ms + max(1, int(trouble.interval_ms * (0.75 + chance / 4)))
        self._dirty.add(destination)
        if trouble.interval_ms >= TOLD_FROM_MS:
            self._observer(DestinationFails(destination, trouble.interval_ms))

    def heard_from(self, origin: str) -> None:
        """Note that a server made a request, which it signed: it may be asked again."""
        trouble = self._troubles.get(origin)
        if trouble is None:
            return
        now_ms = self._clock.monotonic_ms()
        heard_ms = self._heard_ms.get(origin)
        if heard_ms is not None and now_ms - heard_ms < HEARD_AGAIN_MS:
            return
        self._heard_ms[origin] = now_ms
        self.reset(origin)

    def reset(self, destination: str) -> bool:
        """Let a server be asked again at once; whether it was left alone."""
        trouble = self._troubles.get(destination)
        if trouble is None:
            return False
        trouble.retry_ms = trouble.interval_ms = 0
        self._dirty.add(destination)
        self._tell(destination)
        return True

    async def save(self) -> None:
        """Store what has changed.

        Raises:
            Unavailable: it could not be stored; the next call tries again.
        """
        dirty, self._dirty = self._dirty, set()
        try:
            found = {name: self._troubles[name] for name in dirty if name in self._troubles}
            if found:
                await destinations.save(self._database, found)
            if gone := dirty - found.keys():
                await destinations.forget(self._database, gone)
        except Unavailable:
            self._dirty |= dirty
            raise

    async def run(self) -> None:
        """Store what changes, for as long as the server runs."""
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            await self.close()

    async def close(self) -> None:
        """Store what has changed, if that can be done just now."""
        with suppress(Unavailable):
            await self.save()

    def _tell(self, destination: str) -> None:
        for listener in self._listeners:
            listener(destination)
