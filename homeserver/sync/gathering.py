"""Wakes readers for what may wait a moment: 100 who come at once wake each other twice, not 10,000 times.

The first time in a while is at once, so that one person's coming is seen as it happens.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

__all__ = ["GATHERED_READERS_MIN", "GATHER_S", "Gathering", "Reader", "RoomGathering", "Timer"]

GATHERED_READERS_MIN = 50
"""Where fewer members of a room are here, each is told of each receipt at once: that is next to nothing."""

GATHER_S = 1.0
"""Longer than a storm needs to be calmed, and no longer than anybody waits to see who is there."""


class Reader(Protocol):
    """Whoever is to be woken, as `LiveUser` is."""

    def mark(self) -> None:
        """Take note that what is told next is told to nobody else."""

    def ring(self) -> None:
        """Wake up."""


class Timer(Protocol):
    """What was set to happen later."""

    def cancel(self) -> None:
        """Let it not happen."""


class Gathering:
    """The readers who are to be woken when the moment is over; as many as are here at most.

    Args:
        gather_s: how long a moment is.
    """

    def __init__(self, gather_s: float = GATHER_S) -> None:
        self._gather_s = gather_s
        self._readers: dict[Reader, None] = {}
        self._moment: asyncio.Handle | None = None

    def add(self, reader: Reader) -> None:
        """Wake a reader, soon or when the moment is over. Whatever else wakes them first tells it, too."""
        reader.mark()
        self._readers[reader] = None
        if self._moment is None:
            # Not at once: all whom one commit concerns are woken together.
            self._moment = asyncio.get_running_loop().call_soon(self._wake)

    def close(self) -> None:
        """Wake nobody any more."""
        if self._moment is not None:
            self._moment.cancel()
            self._moment = None
        self._readers.clear()

    def _wake(self) -> None:
        readers, self._readers = self._readers, {}
        self._moment = None
        for reader in readers:
            reader.ring()
        if readers:
            self._moment = asyncio.get_running_loop().call_later(self._gather_s, self._wake)


class RoomGathering:
    """Lets what many in a room are told alike wait for each other: the first in a while is told at once.

    Args:
        wake: wakes all who are in a room.
        gather_s: how long a moment is.
        later: calls a function so many seconds later; None: by the loop's clock.
    """

    def __init__(
        self,
        wake: Callable[[str], None],
        gather_s: float = GATHER_S,
        later: Callable[[float, Callable[[], None]], Timer] | None = None,
    ) -> None:
        self._wake = wake
        self._gather_s = gather_s
        self._later = later
        self._held: dict[str, bool] = {}  # rooms in which something was told a moment ago; is there more?
        self._moments: dict[str, Timer] = {}

    def holds_back(self, room_id: str) -> bool:
        """Whether what just happened in a room is told when the moment is over; if not, one begins."""
        if room_id in self._held:
            self._held[room_id] = True
            return True
        self._begin(room_id)
        return False

    def tell(self, room_id: str) -> None:
        """All in a room are woken for another reason, and told what was held back, too."""
        if room_id in self._held:
            self._held[room_id] = False

    def close(self) -> None:
        """Wake nobody any more."""
        for moment in self._moments.values():
            moment.cancel()
        self._moments.clear()
        self._held.clear()

    def _begin(self, room_id: str) -> None:
        self._held[room_id] = False
        later = self._later or asyncio.get_running_loop().call_later
        self._moments[room_id] = later(self._gather_s, lambda: self._end(room_id))

    def _end(self, room_id: str) -> None:
        del self._moments[room_id]
        if self._held.pop(room_id):
            self._begin(room_id)
            self._wake(room_id)
