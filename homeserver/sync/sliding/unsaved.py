"""Which connections have changed since they were saved, and which of them rest: those are worth saving."""

from collections import OrderedDict
from collections.abc import Iterable

from storage.tables.sliding_connections import ConnectionKey

__all__ = ["Unsaved"]

UNSAVED_MAX = 100_000


class Unsaved:
    """Connections that changed. Where there are too many, those that changed longest ago are not saved."""

    def __init__(self, *, unsaved_max: int = UNSAVED_MAX) -> None:
        self._unsaved_max = unsaved_max
        self._moving: OrderedDict[ConnectionKey, None] = OrderedDict()
        self._resting: OrderedDict[ConnectionKey, None] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._moving) + len(self._resting)

    def note(self, key: ConnectionKey) -> None:
        """This one has just changed."""
        self._resting.pop(key, None)
        self._moving[key] = None
        self._moving.move_to_end(key)
        if len(self) > self._unsaved_max:
            (self._resting or self._moving).popitem(last=False)

    def note_again(self, keys: Iterable[ConnectionKey]) -> None:
        """These were taken to be saved, and were not."""
        for key in keys:
            if key not in self._moving:
                self.note(key)

    def rest(self) -> None:
        """Let those rest that have not changed since they were noted, from here on."""
        self._resting.update(self._moving)
        self._moving.clear()

    def take_resting(self, count_max: int) -> list[ConnectionKey]:
        """Take some of those that rest, first those that changed longest ago."""
        return [self._resting.popitem(last=False)[0] for _ in range(min(count_max, len(self._resting)))]
