"""How much waits for devices: so that nobody can fill the database with what a device never comes for."""

from collections.abc import Collection, Sequence

from homeserver.core.changes import Change, ToDeviceChange
from homeserver.runtime.clock import Clock
from storage.tables import to_device
from storage.tables.queries import Queries

__all__ = ["InboxSizes"]

INBOXES_MAX = 50_000
BYTES_PER_INBOX_MAX = 33_554_432
RECOUNT_MS_MIN = 60_000

_Device = tuple[str, str]


class _Size:
    """At most so much waits: what is sent is added, what is fetched is only known by counting again."""

    __slots__ = ("bytes", "counted_ms", "messages")

    def __init__(self, messages: int, size_bytes: int, counted_ms: int) -> None:
        self.messages = messages
        self.bytes = size_bytes
        self.counted_ms = counted_ms


class InboxSizes:
    """Knows of each device that was sent something whether more may be.

    Subscribe `take_in` to the bus before the first question.

    Args:
        queries: to count with.
        clock: an inbox that is full is counted again after a minute.
        messages_max: how many messages may wait for a device.
        bytes_max: and of how many bytes together.
    """

    def __init__(
        self, queries: Queries, clock: Clock, *, messages_max: int, bytes_max: int = BYTES_PER_INBOX_MAX
    ) -> None:
        self._queries = queries
        self._clock = clock
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._sizes: dict[_Device, _Size] = {}

    async def full_among(self, devices: Collection[_Device]) -> set[_Device]:
        """Those of some devices that nothing more may be sent to now."""
        known, messages_max, bytes_max = self._sizes, self._messages_max, self._bytes_max
        uncounted: list[_Device] = []
        full: set[_Device] = set()
        for device in devices:
            size = known.get(device)
            if size is None:
                uncounted.append(device)
            elif size.messages >= messages_max or size.bytes >= bytes_max:
                full.add(device)
        now_ms = self._clock.monotonic_ms()
        if full:
            old = [device for device in full if now_ms - known[device].counted_ms >= RECOUNT_MS_MIN]
            full.difference_update(old)
            uncounted += old
        if uncounted:
            counted = await self._count(uncounted, now_ms)
            full.update(device for device, size in counted.items() if self._is_full(size))
        return full

    def take_in(self, changes: Sequence[Change]) -> None:
        """Take note of what was committed."""
        for change in changes:
            if isinstance(change, ToDeviceChange):
                known = self._sizes
                for user_id, device_id, message in change.messages:
                    size = known.get((user_id, device_id))
                    if size is not None:
                        size.messages += 1
                        size.bytes += len(message)

    async def _count(self, devices: list[_Device], now_ms: int) -> dict[_Device, _Size]:
        # What is committed meanwhile is counted twice at most: a bound that is too high is found out when it
        # is reached.
        sizes = {device: _Size(0, 0, now_ms) for device in devices}
        known = self._sizes
        known.update(sizes)
        while len(known) > INBOXES_MAX:
            del known[next(iter(known))]  # counted longest ago; it can be counted again
        counted = await to_device.sizes(self._queries, devices, messages_max=self._messages_max)
        for device, (messages, size_bytes) in counted.items():
            sizes[device].messages += messages
            sizes[device].bytes += size_bytes
        return sizes

    def _is_full(self, size: _Size) -> bool:
        return size.messages >= self._messages_max or size.bytes >= self._bytes_max
