"""Which threads one user began or ceased to follow lately: live clients need no database."""

from collections.abc import Sequence

from homeserver.core.changes import ThreadSubscriptionChange
from homeserver.core.positions import SyncToken

__all__ = ["ThreadNews"]

ENTRIES_MAX = 200


class ThreadNews:
    """Remembers the last change of each thread; says honestly where its knowledge ends."""

    __slots__ = ("_changes", "_floor", "_newest")

    def __init__(self, floor: SyncToken) -> None:
        # By last change. Most who are here never change any: they need no dictionary.
        self._changes: dict[tuple[str, str], ThreadSubscriptionChange] | None = None
        self._floor = floor  # raised by each change that had to go
        self._newest = floor

    def take_in(self, change: ThreadSubscriptionChange) -> None:
        """Take note of a change that was just committed."""
        changes = self._changes
        if changes is None:
            changes = self._changes = {}
        key = (change.room_id, change.root_id)
        changes.pop(key, None)
        changes[key] = change
        self._newest = self._newest.advance(change.position)
        if len(changes) > ENTRIES_MAX:
            oldest = changes.pop(next(iter(changes)))
            self._floor = self._floor.advance(oldest.position)

    def after(self, since: SyncToken) -> Sequence[ThreadSubscriptionChange] | None:
        """What changed after `since`, newest first; None if not all of it is known."""
        if since.covers_all_of(self._newest):
            return ()
        if not since.covers_all_of(self._floor):
            return None
        # Several writers may have written: the ones that `since` covers are not all at the beginning.
        return [one for one in reversed((self._changes or {}).values()) if not since.covers(one.position)]
