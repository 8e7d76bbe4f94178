"""Wakes readers for what may wait a moment: 100 who come at once wake each other twice, not 10,000 times.

The first time in a while is at once, so that one person's coming is seen as it happens.
"""

import asyncio

from homeserver.sync.live_users import LiveUser

__all__ = ["GATHER_S", "Gathering"]

GATHER_S = 1.0
"""Longer than a storm needs to be calmed, and no longer than anybody waits to see who is there."""


class Gathering:
    """The readers who are to be woken when the moment is over; as many as are here at most.

    Args:
        gather_s: how long a moment is.
    """

    def __init__(self, gather_s: float = GATHER_S) -> None:
        self._gather_s = gather_s
        self._readers: dict[LiveUser, None] = {}
        self._moment: asyncio.Handle | None = None

    def add(self, reader: LiveUser) -> None:
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
