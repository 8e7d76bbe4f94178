"""Waiting for a ring: what a session does when there is nothing to tell."""

import asyncio
from typing import Protocol

__all__ = ["Sleep", "Waiter"]


class Sleep(Protocol):
    """What a ring ends: an asyncio future, or whatever sleeps without a task."""

    def done(self) -> bool:
        """It has ended."""

    def set_result(self, result: None, /) -> None:
        """End it."""

    def set_exception(self, exception: Exception, /) -> None:
        """End it with an error."""


class Waiter:
    """A bell for one session. A ring is kept until it is answered, so none is lost between look and sleep."""

    __slots__ = ("_future", "_rung")

    def __init__(self) -> None:
        self._rung = False
        self._future: Sleep | None = None

    def ring(self) -> None:
        """Wake the session, now or when it next would wait."""
        self._rung = True
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def ring_alike(self) -> None:
        """Wake the session because of something that is told to many in the same words."""
        self.ring()

    def mark(self) -> None:
        """What the session is told next is told to nobody else."""

    def clear(self) -> None:
        """Forget rings; right before looking at what there is."""
        self._rung = False

    async def wait(self, timeout_s: float | None) -> bool:
        """Sleep until the bell rings or has rung since `clear`; False if the time ran out first."""
        if self._rung:
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._future = future
        timer = None if timeout_s is None else loop.call_later(timeout_s, _time_is_up, future)
        try:
            await future
        finally:
            self._future = None
            if timer is not None:
                timer.cancel()
        return self._rung


def _time_is_up(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
