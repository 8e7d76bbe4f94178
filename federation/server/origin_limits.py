"""How much one server may have this one do: so many transactions at once, and so much in them.

What is too much at the moment waits, so that a server that has a lot to say is slowed down and not sent away;
only what would have to wait for long is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from homeserver.core.errors import LimitExceeded
from homeserver.runtime.clock import Clock
from homeserver.runtime.token_bucket import TokenBucket

__all__ = ["OriginLimits"]

AT_ONCE_MAX = 3
"""Servers are to send one transaction after the other."""
WAITING_MAX = 10
COST_PER_SECOND = 1_000.0
COST_BURST = 5_000
WAIT_MS_MAX = 10_000
ORIGINS_MAX = 10_000


class _Origin:
    """What is known of a server."""

    __slots__ = ("at_once", "bucket", "present")

    def __init__(self, now_ms: int) -> None:
        self.bucket = TokenBucket(COST_PER_SECOND, COST_BURST, now_ms)
        self.at_once = asyncio.Semaphore(AT_ONCE_MAX)
        self.present = 0


class OriginLimits:
    """Lets servers in, each as often as it may.

    Args:
        clock: for the budgets.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origins: dict[str, _Origin] = {}

    @asynccontextmanager
    async def turn(self, origin: str, cost: int) -> AsyncIterator[None]:
        """Wait until a server may have something done, and count it as that for the duration of a block.

        Args:
            origin: the server.
            cost: of what it wants: 1 for each event.

        Raises:
            LimitExceeded: it is to come again later.
        """
        one = self._origins.get(origin)
        if one is None:
            one = self._new(origin)
        if one.present >= AT_ONCE_MAX + WAITING_MAX:
            raise LimitExceeded("Send one transaction after the other.", retry_after_ms=WAIT_MS_MAX)
        one.present += 1
        try:
            async with one.at_once:
                wait_ms = one.bucket.take(self._clock.monotonic_ms(), cost)
                if wait_ms > WAIT_MS_MAX:
                    raise LimitExceeded("Your server sends too much.", retry_after_ms=wait_ms)
                if wait_ms:
                    await asyncio.sleep(wait_ms / 1000)
                    one.bucket.take(self._clock.monotonic_ms(), cost)
                yield
        finally:
            one.present -= 1

    def _new(self, origin: str) -> _Origin:
        now_ms = self._clock.monotonic_ms()
        if len(self._origins) >= ORIGINS_MAX:
            idle = [
                name for name, one in self._origins.items() if not one.present and one.bucket.is_full(now_ms)
            ]
            for name in idle:
                del self._origins[name]
        if len(self._origins) >= ORIGINS_MAX:
            raise LimitExceeded("Too many servers send just now.", retry_after_ms=WAIT_MS_MAX)
        one = self._origins[origin] = _Origin(now_ms)
        return one
