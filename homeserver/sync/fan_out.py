"""Tells many readers of one thing: some at a time, without waking the task of each.

A message in a room with 1,000 sessions rings 1,000 bells at once. Waking a task costs as much as all the
rest, and to do all of it in one step would hold up everything else. So a reader who only waits leaves a
listener; the bells that rang are gone through in rounds, between which the loop does what else there is to
do. The first reader to whom something new is told leads: it is woken and puts it together. Those who are told
the same follow once it has done so.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable

from homeserver.sync.waiter import Sleep, Waiter

__all__ = ["Bell", "FanOut", "Listener"]

ROUND_MAX = 64
"""At 25 µs each this is 1.6 ms, in which the loop does nothing else."""

LEAD_S_MAX = 0.1
"""Who waits for longer than this on another reader looks for itself."""

LED_MAX = 1_000

Listener = Callable[[], Hashable]
"""Tells the reader what there is, and returns True; or what it would have told, named by a key, if it is not
at hand; or None if the reader must look for itself."""


class Bell(Waiter):
    """A waiter whose reader may leave a listener while it sleeps.

    Attributes:
        is_private: something is to be told that is this reader's alone, maybe beside other things.
    """

    __slots__ = ("_fan_out", "_is_queued", "_leads", "_listener", "is_private")

    def __init__(self, fan_out: "FanOut") -> None:
        super().__init__()
        self._fan_out = fan_out
        self._listener: Listener | None = None
        self._is_queued = False
        self._leads: Hashable = None
        self.is_private = False

    async def listen(self, listener: Listener) -> None:
        """Sleep until something happened of which the listener could not tell."""
        self.follow_up()
        self._listener = listener
        try:
            await self.wait(None)
        finally:
            self._listener = None

    @property
    def has_rung(self) -> bool:
        """Something has happened that was not looked at."""
        return self._rung

    def rest(self, listener: Listener, sleep: Sleep) -> None:
        """Let a sleep end with what happens of which the listener cannot tell; without a task."""
        self.follow_up()
        self._listener, self._future = listener, sleep

    def rise(self) -> None:
        """Rest no more; whoever follows this reader may go on."""
        self._listener = self._future = None
        self.follow_up()

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
            return True
        told = listener()
        if told is True:
            self._rung = False
        return told

    def follow(self) -> None:
        """Wait for another, with whatever rings meanwhile."""
        self._is_queued = True

    def lead(self, name: Hashable) -> None:
        """Wake the reader, who puts together what others are told as well."""
        self._leads = name
        super().ring()

    def follow_up(self) -> None:
        """What the reader was woken to put together is there, or never will be: the others may go on."""
        name, self._leads = self._leads, None
        if name is not None:
            self._fan_out.go_on(name)

    def wake(self) -> None:
        """Wake the reader."""
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
        self._followers: dict[Hashable, tuple[list[Bell], asyncio.TimerHandle]] = {}
        self._led: set[Hashable] = set()  # since the queue was empty

    def add(self, bell: Bell) -> None:
        """Go through this one, too, in the next round."""
        self._bells.append(bell)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_through)

    def go_on(self, name: Hashable) -> None:
        """Let those go on who wait for what has this name."""
        followers, timer = self._followers.pop(name, (None, None))
        if followers is None or timer is None:
            return  # it took the leader so long that they went on without
        timer.cancel()
        if len(self._led) >= LED_MAX:
            self._led.clear()
        self._led.add(name)
        for bell in followers:
            self.add(bell)

    def _go_through(self) -> None:
        self._is_scheduled = False
        for _ in range(min(ROUND_MAX, len(self._bells))):
            bell = self._bells.popleft()
            try:
                missed = bell.tell()
            except Exception as error:  # noqa: BLE001 - it is the reader's, who is told of it
                bell.fail(error)
                continue
            if missed is not True and self._deal_with(bell, missed):
                break  # the leader's turn: what it puts together is at hand for the others
        if self._bells and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_through)
        elif not self._bells and not self._followers:
            self._led.clear()

    def _deal_with(self, bell: Bell, missed: Hashable) -> bool:
        """Wake a reader who could not be told, or let it wait for another; whether it leads."""
        if missed is None or missed in self._led:
            bell.wake()
            return False
        if missed in self._followers:
            bell.follow()
            self._followers[missed][0].append(bell)
            return False
        timer = asyncio.get_running_loop().call_later(LEAD_S_MAX, self.go_on, missed)
        self._followers[missed] = ([], timer)
        bell.lead(missed)
        return True
