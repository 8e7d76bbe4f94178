"""What waits for the devices that are here: live clients with nothing waiting need no database.

An inbox is either whole, then all that waits for its device is in memory, or it is not, then each look reads
from storage. It becomes whole by a look that finds little, and remains so as long as little waits.
"""

from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from homeserver.core.changes import ToDeviceChange
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.sync.ports import SyncReads
from homeserver.sync.waiter import Waiter

__all__ = ["MESSAGES_PER_ANSWER_MAX", "Inbox", "LiveInboxes"]

MESSAGES_PER_ANSWER_MAX = 100
BYTES_PER_ANSWER_MAX = 1_048_576
INBOXES_MAX = 20_000
IDLE_LOOKED_FOR_MAX = 100
MESSAGES_HELD_MAX = 200
BYTES_HELD_MAX = 131_072
BYTES_OF_ALL_MAX = 67_108_864
ACKNOWLEDGED_MAX = 20_000
_PAGE = MESSAGES_HELD_MAX + 1

_Key = tuple[str, str]
_Message = tuple[int, bytes]


class Inbox:
    """What waits for one device: what it has not acknowledged.

    Attributes:
        session_id: of the device; another one begins anew.
        size_bytes: of the messages that are held.
    """

    __slots__ = (
        "_acknowledged", "_all", "_is_whole", "_key", "_messages", "_missed", "_readers", "_waiters",
        "session_id", "size_bytes",
    )  # fmt: skip

    def __init__(self, inboxes: "LiveInboxes", key: _Key, session_id: int) -> None:
        self._all = inboxes
        self._key = key
        self._messages: list[_Message] = []  # by position
        self._is_whole = False
        self._missed: list[_Message] = []  # what came while somebody reads
        self._readers = 0
        self._waiters: list[Waiter] = []
        self._acknowledged: SyncToken | None = None
        self.session_id = session_id
        self.size_bytes = 0

    @property
    def is_quiet(self) -> bool:
        """Nothing waits, for sure."""
        return self._is_whole and not self._messages

    @property
    def is_watched(self) -> bool:
        """Somebody listens to it."""
        return bool(self._waiters)

    @contextmanager
    def listening(self, waiter: Waiter) -> Iterator[None]:
        """Ring this waiter when a message comes, for the duration of a block."""
        self.attach(waiter)
        try:
            yield
        finally:
            self.detach(waiter)

    def attach(self, waiter: Waiter) -> None:
        """Ring this waiter when a message comes, until it is detached."""
        self._waiters.append(waiter)

    def detach(self, waiter: Waiter) -> None:
        """Ring this waiter no more."""
        self._waiters.remove(waiter)

    def acknowledge(self, since: SyncToken) -> None:
        """Forget what the device has got: it says up to where it has been told."""
        if self.is_quiet:
            return
        self._acknowledged = since
        if self._is_whole:
            kept = [each for each in self._messages if not since.covers_message(each[0])]
            if len(kept) == len(self._messages):
                return
            self._hold(kept)
        self._all.note_acknowledged(self._key, since)

    async def waiting(
        self, since: SyncToken | None, now: SyncToken, limit: int = MESSAGES_PER_ANSWER_MAX
    ) -> tuple[Sequence[_Message], bool]:
        """The next messages that were not told up to `since`, in order, and whether more are behind them.

        Args:
            since: up to where the device has been told; None: of nothing.
            now: what is not covered by this is left for later.
            limit: how many messages at most.
        """
        if self._is_whole:
            return _first(self._messages, since, now, limit)
        # From what was acknowledged on, which may be less than what was told: only so can it become whole.
        told = self._acknowledged
        page = await self._read(0 if told is None else told.messages_after)
        found: list[_Message] = []
        while True:
            found += [each for each in page if told is None or not told.covers_message(each[0])]
            first, has_more = _first(found, since, now, limit)
            if has_more or len(page) < _PAGE:
                return first, has_more
            after = page[-1][0] if since is None else max(page[-1][0], since.messages_after)
            page = await self._all.reads.to_device(*self._key, after, _PAGE)

    def take_in(self, position: int, message: bytes) -> None:
        """A message was committed: hold it, wake who listens."""
        if self._readers:
            self._missed.append((position, message))
        if self._is_whole:
            self._insert(position, message)
        for waiter in self._waiters:
            waiter.ring()

    def forget(self) -> None:
        """Hold nothing: the next look reads from storage."""
        self._hold([])
        self._is_whole = False

    async def _read(self, after: int) -> Sequence[_Message]:
        # Listen first, then read: what is committed in between is seen by the one or the other.
        self._readers += 1
        try:
            page = await self._all.reads.to_device(*self._key, after, _PAGE)
            if len(page) < _PAGE and not self._is_whole:
                self._become_whole(page)
        finally:
            self._readers -= 1
            if not self._readers:
                self._missed = []
        return page

    def _become_whole(self, page: Sequence[_Message]) -> None:
        self._is_whole = True
        told = self._acknowledged
        self._hold([each for each in page if told is None or not told.covers_message(each[0])])
        for position, message in self._missed:
            if self._is_whole and (told is None or not told.covers_message(position)):
                self._insert(position, message)

    def _insert(self, position: int, message: bytes) -> None:
        messages = self._messages
        if not messages or position > messages[-1][0]:
            messages.append((position, message))
        elif any(position == each for each, _ in messages):
            return  # it was read already
        else:
            insort(messages, (position, message))
        self._count(len(message))

    def _hold(self, messages: list[_Message]) -> None:
        self._messages = messages
        self._count(sum(len(message) for _, message in messages) - self.size_bytes)

    def _count(self, bytes_more: int) -> None:
        self.size_bytes += bytes_more
        self._all.count(self, bytes_more)
        if len(self._messages) > MESSAGES_HELD_MAX or self.size_bytes > BYTES_HELD_MAX:
            self.forget()


class LiveInboxes:
    """The inboxes of devices that sync, and what they have acknowledged lately.

    Attributes:
        reads: of what is not held.
    """

    def __init__(
        self, reads: SyncReads, *, inboxes_max: int = INBOXES_MAX, bytes_max: int = BYTES_OF_ALL_MAX
    ) -> None:
        self.reads = reads
        self._inboxes_max = inboxes_max
        self._bytes_max = bytes_max
        self._inboxes: OrderedDict[_Key, Inbox] = OrderedDict()
        self._holding: dict[Inbox, None] = {}  # those that hold anything, by when they began to
        self._bytes = 0
        self._acknowledged: dict[_Key, SyncToken] = {}

    def of(self, requester: Requester) -> Inbox:
        """The inbox of a device. Who logs in anew on it gets one of which nothing is known yet."""
        key = (requester.user_id, requester.device_id)
        inbox = self._inboxes.get(key)
        if inbox is not None and inbox.session_id == requester.session_id:
            self._inboxes.move_to_end(key)
            return inbox
        if inbox is not None:
            self._drop(key)
        inbox = self._inboxes[key] = Inbox(self, key, requester.session_id)
        if len(self._inboxes) > self._inboxes_max:
            # If none of the oldest is idle there are so many connections, each of which may have its inbox.
            oldest = islice(self._inboxes.items(), IDLE_LOOKED_FOR_MAX)
            idle = next((one for one, each in oldest if not each.is_watched), key)
            if idle != key:
                self._drop(idle)
        return inbox

    def take_in(self, change: ToDeviceChange) -> None:
        """Hand messages to the devices that are here."""
        for user_id, device_id, message in change.messages:
            inbox = self._inboxes.get((user_id, device_id))
            if inbox is not None:
                inbox.take_in(change.position, message)

    def note_acknowledged(self, key: _Key, since: SyncToken) -> None:
        """Remember that storage can forget what a device was told."""
        before = self._acknowledged.pop(key, None)
        if before is not None and all(before.covers_message(until) for _, until in since.messages_until()):
            since = before  # the device asked once more
        self._acknowledged[key] = since
        if len(self._acknowledged) > ACKNOWLEDGED_MAX:
            # The device's next acknowledgement after this process has ended covers it.
            del self._acknowledged[next(iter(self._acknowledged))]

    def take_acknowledged(self, limit: int) -> list[tuple[str, str, SyncToken]]:
        """Hand over what devices were told, some of them: (user ID, device ID, up to where)."""
        keys = list(self._acknowledged)[:limit]
        return [(*key, self._acknowledged.pop(key)) for key in keys]

    def count(self, inbox: Inbox, bytes_more: int) -> None:
        """Keep within memory: who has held something for longest reads again."""
        self._bytes += bytes_more
        if inbox.size_bytes:
            self._holding.setdefault(inbox)
        else:
            self._holding.pop(inbox, None)
        while self._bytes > self._bytes_max and self._holding:
            next(iter(self._holding)).forget()

    def _drop(self, key: _Key) -> None:
        self._inboxes.pop(key).forget()


def _first(
    messages: Sequence[_Message], since: SyncToken | None, now: SyncToken, limit: int
) -> tuple[list[_Message], bool]:
    found: list[_Message] = []
    size_bytes = 0
    for each in messages:
        position, message = each
        if not now.covers(position) or (since is not None and since.covers_message(position)):
            continue
        size_bytes += len(message)
        if len(found) == limit or (found and size_bytes > BYTES_PER_ANSWER_MAX):
            return found, True
        found.append(each)
    return found, False
