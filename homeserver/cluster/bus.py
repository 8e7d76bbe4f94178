"""The bus on which committed changes reach the readers; in one process it is a list of callables."""

from collections.abc import Callable, Sequence
from typing import Protocol

from homeserver.core.changes import Change

__all__ = ["Bus", "LocalBus", "Reader"]

Reader = Callable[[Sequence[Change]], None]


class Bus(Protocol):
    """Carries the changes of each commit, in commit order, to every subscribed reader."""

    def publish(self, changes: Sequence[Change]) -> None:
        """Hand over the changes of one commit."""

    def subscribe(self, reader: Reader) -> Callable[[], None]:
        """Call `reader` with the changes of every later commit; returns the way to stop that."""


class LocalBus:
    """The bus of a server that is one process: readers are called at once, in the order they came."""

    def __init__(self) -> None:
        self._readers: list[Reader] = []

    def publish(self, changes: Sequence[Change]) -> None:
        """Call every reader with `changes`. Readers only take note; they neither block nor raise."""
        for reader in tuple(self._readers):
            reader(changes)

    def subscribe(self, reader: Reader) -> Callable[[], None]:
        """Add `reader`; the returned callable removes it."""
        self._readers.append(reader)
        return lambda: self._readers.remove(reader)
