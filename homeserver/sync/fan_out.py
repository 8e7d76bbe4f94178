"""Tells many readers of one thing: some at a time, without waking the task of each.

A message in a room with 1,000 sessions rings 1,000 bells at once. Waking a task costs as much as all the
rest, and to do all of it in one step would hold up everything else. So a reader who only waits leaves a
listener; the bells that rang are gone through in rounds, between which the loop does what else there is to
do. In each round the first reader to whom something new is told is woken and puts it together; the next round
finds it for the others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from homeserver.sync.waiter import Waiter

__all__ = ["Bell", "FanOut", "Listener"]

ROUND_MAX = 64
"""At 25 µs each this is 1.6 ms, in which the loop does nothing else."""

Listener = Callable[[], Hashable]
"""Tells the reader what there is, and returns True; or what it would have told, named by a key, if it is not
at hand; or None if the reader must look for itself."""


class Bell(Waiter):
    """A waiter whose reader may leave a listener while it sleeps.

    Attributes:
        is_private: something is to be told that is this reader's alone, maybe beside other things.
        has_missed: it was gone through, and came too early.
    """

    __slots__ = ("_fan_out", "_is_queued", "_listener", "has_missed", "is_private")

    def __init__(self, fan_out: "FanOut") -> None:
        super().__init__()
        self._fan_out = fan_out
        self._listener: Listener | None = None
        self._is_queued = False
        self.is_private = False
        self.has_missed = False

    async def listen(self, listener: Listener) -> None:
        """Sleep until something happened of which the listener could not tell."""
        self._listener = listener
        try:
            await self.wait(None)
        finally:
            self._listener = None

    def clear(self) -> None:
        """Forget rings; right before looking at what there is."""
        self._rung = self.is_private = False

    def mark(self) -> None:
        """What the reader is told next is told to nobody else."""
        self.is_private = True

    def ring(self) -> None:
        """Wake the reader."""
        self.is_private = True
        super().ring()

    def ring_alike(self) -> None:
        """Let the listener tell what happened, soon; without one, wake the reader."""
        if self._listener is None or self._future is None:
            super().ring()
        elif not self._is_queued:
            self._rung = self._is_queued = True
            self._fan_out.add(self)
        else:
            self._rung = True

    def tell(self) -> Hashable:
        """Let the listener tell; returns what it returns, or True if there is no need to any more."""
        self._is_queued = False
        listener, future = self._listener, self._future
        if listener is None or future is None or not self._rung or future.done():
            self.has_missed = False
            return True
        told = listener()
        if told is True:
            self._rung = self.has_missed = False
        return told

    def queue_again(self) -> None:
        """Come again in the next round, but only once."""
        self.has_missed = self._is_queued = True
        self._fan_out.add(self)

    def wake(self) -> None:
        """Wake the reader."""
        self.has_missed = False
        super().ring()

    def fail(self, error: Exception) -> None:
        """Let the reader's sleep end with an error of its listener."""
        if self._future is not None and not self._future.done():
            self._future.set_exception(error)


class FanOut:
    """The bells that rang. Each is there at most once, so there are no more than readers."""

    def __init__(self) -> None:
        self._bells: deque[Bell] = deque()
        self._is_scheduled = False

    def add(self, bell: Bell) -> None:
        """Go through this one, too, in the next round."""
        self._bells.append(bell)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_through)

    def _go_through(self) -> None:
        self._is_scheduled = False
        led: set[Hashable] = set()
        for _ in range(min(ROUND_MAX, len(self._bells))):
            bell = self._bells.popleft()
            try:
                missed = bell.tell()
            except Exception as error:  # noqa: BLE001 - it is the reader's, who is told of it
                bell.fail(error)
                continue
            if missed is True:
                continue
            if missed is None or bell.has_missed or missed not in led:
                led.add(missed)
                bell.wake()
            else:
                bell.queue_again()
        if self._bells and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_through)
