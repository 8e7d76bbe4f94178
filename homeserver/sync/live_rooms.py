"""What is live in rooms: who types, and who has read how far lately. Live clients need no database."""

from collections import OrderedDict
from collections.abc import Sequence

from homeserver.core.changes import ReceiptChange, TypingChange
from homeserver.core.positions import SyncToken, writer_of

__all__ = ["READ_PRIVATE", "LiveRooms"]

ROOMS_MAX = 10_000
RECEIPTS_PER_ROOM_MAX = 500
READ_PRIVATE = "m.read.private"

_Key = tuple[str, str, str | None]


class _Room:
    """One room: its last notice of who types, and its last receipts."""

    __slots__ = ("floor", "receipts", "typing")

    def __init__(self, floor: SyncToken) -> None:
        self.typing: TypingChange | None = None
        self.receipts: dict[_Key, ReceiptChange] = {}  # by last change
        self.floor = floor  # raised by each receipt that had to go


class LiveRooms:
    """Remembers what was published, newest rooms first; says honestly where its knowledge ends."""

    def __init__(self, floor: SyncToken, *, rooms_max: int = ROOMS_MAX) -> None:
        self._floor = floor
        self._born = 0
        self._rooms_max = rooms_max
        self._rooms: OrderedDict[str, _Room] = OrderedDict()

    def be_born(self, position: int) -> None:
        """Whatever is live and below this position ended with the process before this one."""
        self._born = position

    def is_of_former_life(self, since: SyncToken) -> bool:
        """Whether who comes with this token may know of typing that ended with the last process."""
        return 0 < since.positions.get(writer_of(self._born), 0) < self._born

    def of_this_life(self, since: SyncToken) -> SyncToken:
        """The same place for who has been told that all typing ended with the last process."""
        return since.advance(self._born) if self.is_of_former_life(since) else since

    def take_in(self, change: ReceiptChange | TypingChange) -> None:
        """Take note of a change."""
        room = self._rooms.get(change.room_id)
        if room is None:
            room = self._rooms[change.room_id] = _Room(self._floor)
        else:
            self._rooms.move_to_end(change.room_id)
        if isinstance(change, TypingChange):
            room.typing = change
        else:
            key = (change.user_id, change.type, change.thread_id)
            room.receipts.pop(key, None)
            room.receipts[key] = change
            if len(room.receipts) > RECEIPTS_PER_ROOM_MAX:
                oldest = room.receipts.pop(next(iter(room.receipts)))
                room.floor = room.floor.advance(oldest.position)
        if len(self._rooms) > self._rooms_max:
            _, gone = self._rooms.popitem(last=False)
            for receipt in gone.receipts.values():
                self._floor = self._floor.advance(receipt.position)
            self._floor = self._floor.merge(gone.floor)

    def typing(self, room_id: str, since: SyncToken | None) -> Sequence[str] | None:
        """Who types in a room, if that has changed after `since`; without it, if anybody does."""
        room = self._rooms.get(room_id)
        if room is None or room.typing is None:
            return () if since is not None and self.is_of_former_life(since) else None
        if since is None:
            return room.typing.user_ids or None
        return None if since.covers(room.typing.position) else room.typing.user_ids

    def receipts_after(self, room_id: str, since: SyncToken) -> Sequence[ReceiptChange] | None:
        """The receipts of a room after `since`, by position; None if not all of them are known."""
        room = self._rooms.get(room_id)
        floor = self._floor if room is None else room.floor
        if not since.covers_all_of(floor):
            return None
        if room is None:
            return ()
        return [one for one in room.receipts.values() if not since.covers(one.position)]
