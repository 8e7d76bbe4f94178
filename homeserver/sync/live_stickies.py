"""The events that are sticky now, by room: live clients need no database.

Nothing is sticky for longer than an hour, so an hour after its start a process knows of everything that is.
It remembers only so much, though; then it says when what it had to drop is over.
"""

from collections import OrderedDict
from collections.abc import Iterable

from homeserver.core.changes import EventChange, StickyChange
from homeserver.core.event.sticky import STICKY, STICKY_MS_MAX, sticky_until_ms
from homeserver.core.positions import SyncToken, ms_of
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["LiveStickies"]

EVENTS_MAX = 20_000
BYTES_MAX = 64 * 1024 * 1024


class LiveStickies:
    """Remembers sticky events as they are published.

    Args:
        floor: nothing up to there is known.
        events_max: remember so many at most.
        bytes_max: and so much of their JSON.
    """

    def __init__(
        self, floor: SyncToken, *, events_max: int = EVENTS_MAX, bytes_max: int = BYTES_MAX
    ) -> None:
        self._floor = floor
        self._floor_over_ms = ms_of(floor.highest) + STICKY_MS_MAX
        self._last = floor  # who has heard as much knows what became sticky
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._bytes = 0
        self._events: OrderedDict[str, TimelineEvent] = OrderedDict()  # by ID, oldest first
        self._rooms: dict[str, dict[str, TimelineEvent]] = {}

    def take_in(self, change: EventChange) -> None:
        """Take note of an event, if it is sticky; and of what it redacts, which is not any more."""
        if change.redacted is not None:
            self._drop(change.redacted.event_id)
        if STICKY in change.event.pdu and not change.is_withheld:
            self._add(TimelineEvent.of_change(change))

    def take_in_late(self, change: StickyChange) -> None:
        """Take note of one that was soft-failed when it came."""
        self._add(TimelineEvent(change.position, change.event))

    def is_quiet_since(self, since: SyncToken) -> bool:
        """Whether nothing became sticky after `since`."""
        return since.covers_all_of(self._last)

    def knows_all_after(self, position: int, now_ms: int) -> bool:
        """Whether everything above a position that is sticky now is here."""
        return position >= self._floor.highest or now_ms >= self._floor_over_ms

    def of(self, room_id: str) -> Iterable[TimelineEvent]:
        """What is sticky in a room, oldest first; what is over may be among it."""
        room = self._rooms.get(room_id)
        return () if room is None else room.values()

    def _add(self, shown: TimelineEvent) -> None:
        event = shown.event
        if not sticky_until_ms(event, shown.position) or event.event_id in self._events:
            return
        self._events[event.event_id] = shown
        self._rooms.setdefault(event.room_id, {})[event.event_id] = shown
        self._bytes += len(event.canonical)
        self._last = self._last.advance(shown.position)
        while self._events:
            oldest = next(iter(self._events.values()))
            is_over = sticky_until_ms(oldest.event, oldest.position) <= ms_of(shown.position)
            if not is_over:
                if len(self._events) <= self._events_max and self._bytes <= self._bytes_max:
                    break
                self._floor = self._floor.advance(oldest.position)
                self._floor_over_ms = max(
                    self._floor_over_ms, sticky_until_ms(oldest.event, oldest.position)
                )
            self._drop(oldest.event.event_id)

    def _drop(self, event_id: str) -> None:
        shown = self._events.pop(event_id, None)
        if shown is None:
            return
        event = shown.event
        self._bytes -= len(event.canonical)
        room = self._rooms[event.room_id]
        del room[event_id]
        if not room:
            del self._rooms[event.room_id]
