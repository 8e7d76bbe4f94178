"""Who watches a room without being in it: they are rung for as long as they wait."""

from collections.abc import Iterator
from contextlib import contextmanager

from homeserver.sync.waiter import Waiter

__all__ = ["RoomWatch"]


class RoomWatch:
    """The waiters of each room that is watched."""

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: dict[str, set[Waiter]] = {}

    @contextmanager
    def watching(self, room_id: str) -> Iterator[Waiter]:
        """Lend a waiter that rings when something happens in the room."""
        waiter = Waiter()
        waiters = self._waiters.setdefault(room_id, set())
        waiters.add(waiter)
        try:
            yield waiter
        finally:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[room_id]

    def ring(self, room_id: str) -> None:
        """Something happened in the room: wake who watches it."""
        if self._waiters:
            for waiter in self._waiters.get(room_id, ()):
                waiter.ring()
