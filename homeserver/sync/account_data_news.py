"""The account data of one user that changed lately: live clients need no database."""

from collections.abc import Sequence

from homeserver.core.changes import AccountDataChange
from homeserver.core.positions import SyncToken

__all__ = ["AccountDataNews"]

ENTRIES_MAX = 200
BYTES_MAX = 65_536


class AccountDataNews:
    """Remembers the last change of each type and place; says honestly where its knowledge ends."""

    __slots__ = ("_bytes", "_changes", "_floor", "_newest", "_newest_positions")

    def __init__(self, floor: SyncToken) -> None:
        self._changes: dict[tuple[str | None, str], AccountDataChange] = {}  # by last change
        self._bytes = 0
        self._floor = floor  # raised by each change that had to go
        self._newest = floor
        self._newest_positions = tuple(floor.positions.values())

    def take_in(self, change: AccountDataChange) -> None:
        """Take note of a change that was just committed."""
        key = (change.room_id, change.type)
        replaced = self._changes.pop(key, None)
        if replaced is not None:
            self._bytes -= _size_bytes(replaced)
        self._changes[key] = change
        self._bytes += _size_bytes(change)
        self._newest = self._newest.advance(change.position)
        self._newest_positions = tuple(self._newest.positions.values())
        while len(self._changes) > ENTRIES_MAX or self._bytes > BYTES_MAX:
            oldest = self._changes.pop(next(iter(self._changes)))
            self._bytes -= _size_bytes(oldest)
            self._floor = self._floor.advance(oldest.position)

    def is_quiet_since(self, since: SyncToken) -> bool:
        """Nothing changed after `since`."""
        for position in self._newest_positions:  # noqa: SIM110 - asked at every delivery: `all` takes thrice as long
            if not since.covers(position):
                return False
        return True

    def after(self, since: SyncToken) -> Sequence[AccountDataChange] | None:
        """What changed after `since`, by last change; None if not all of it is known."""
        if self.is_quiet_since(since):
            return ()
        if not since.covers_all_of(self._floor):
            return None
        # Several writers may have written: the ones that `since` covers are not all at the beginning.
        return [change for change in self._changes.values() if not since.covers(change.position)]


def _size_bytes(change: AccountDataChange) -> int:
    return len(change.type) + len(change.room_id or "") + len(change.content or b"")
