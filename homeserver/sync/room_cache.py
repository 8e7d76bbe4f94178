"""The recent events of rooms in which something happened lately: live readers need no database."""

from collections import OrderedDict, deque
from itertools import islice

from homeserver.core.changes import EventChange
from homeserver.core.content.relation import BUNDLED, relation_of
from homeserver.core.positions import SyncToken
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["RoomCache"]

ROOMS_MAX = 10_000
EVENTS_PER_ROOM_MAX = 500
EVENTS_MAX = 50_000
RESETS_MAX = 500
"""State events that one event brought back; of more the database tells."""


class _Recent:
    """The last events of one room, and from where on they are all there."""

    __slots__ = ("dropped", "events", "floor")

    def __init__(self, floor: SyncToken) -> None:
        self.events: deque[TimelineEvent] = deque()
        self.floor = floor
        self.dropped: int | None = None  # position of the last event that had to go


class RoomCache:
    """Remembers what was published, newest rooms first; says honestly where its knowledge ends.

    A room that is not here had no event since the floor: the point at which this process began to listen,
    raised by each room that is pushed out to that room's last event.
    """

    def __init__(
        self,
        floor: SyncToken,
        *,
        rooms_max: int = ROOMS_MAX,
        events_per_room_max: int = EVENTS_PER_ROOM_MAX,
        events_max: int = EVENTS_MAX,
    ) -> None:
        self._rooms: OrderedDict[str, _Recent] = OrderedDict()
        self._rooms_max = rooms_max
        self._events_per_room_max = events_per_room_max
        self._events_max = events_max
        self._events = 0
        self._floor = floor

    def append(self, change: EventChange) -> None:
        """Take in an event that was just committed, and what it redacted."""
        room_id = change.room_id
        if change.is_arrival or len(change.resets) > RESETS_MAX:
            self._forget(room_id, change.position)
            return
        recent = self._rooms.get(room_id)
        if recent is None:
            recent = self._rooms[room_id] = _Recent(self._floor)
        else:
            self._rooms.move_to_end(room_id)
        shown = TimelineEvent.of_change(change)
        if change.redacted is not None:
            _redact(recent.events, change)
        if shown.lacks_replaced:
            _find_replaced(recent.events, shown)
        if "m.relates_to" in change.event.content:
            _note_parent(recent.events, change)
        recent.events.append(shown)
        self._events += 1
        if len(recent.events) > self._events_per_room_max:
            recent.dropped = recent.events.popleft().position
            self._events -= 1
        while len(self._rooms) > 1 and (
            len(self._rooms) > self._rooms_max or self._events > self._events_max
        ):
            self._push_out()

    def after(self, room_id: str, since: SyncToken) -> list[TimelineEvent] | None:
        """The events of a room after `since`, oldest first; None if they are not all here."""
        recent = self._rooms.get(room_id)
        if recent is None:
            return [] if since.covers_all_of(self._floor) else None
        found: list[TimelineEvent] = []
        for each in reversed(recent.events):
            if since.covers(each.position):
                break
            found.append(each)
        if len(found) == len(recent.events) and not self._complete(recent, since):
            return None
        found.reverse()
        return found

    def latest(self, room_id: str, count: int) -> list[TimelineEvent] | None:
        """The last events of a room, newest first; None if there are not so many here."""
        recent = self._rooms.get(room_id)
        if recent is None or len(recent.events) < count:
            return None
        return list(islice(reversed(recent.events), count))

    @staticmethod
    def _complete(recent: _Recent, since: SyncToken) -> bool:
        if recent.dropped is not None:
            return since.covers(recent.dropped)
        return since.covers_all_of(recent.floor)

    def _forget(self, room_id: str, position: int) -> None:
        """Remember nothing of a room up to a position."""
        recent = self._rooms.pop(room_id, None)
        if recent is not None:
            self._events -= len(recent.events)
        self._floor = self._floor.advance(position)

    def _push_out(self) -> None:
        _, recent = self._rooms.popitem(last=False)
        self._events -= len(recent.events)
        self._floor = self._floor.advance(recent.events[-1].position)


def _redact(events: deque[TimelineEvent], change: EventChange) -> None:
    redacted = change.redacted
    assert redacted is not None
    for each in events:
        if each.event.event_id == redacted.event_id:
            each.redact(redacted)
        elif each.replaces == redacted.event_id:
            each.replaced_is(redacted)


def _note_parent(events: deque[TimelineEvent], change: EventChange) -> None:
    relation = relation_of(change.event.content)
    if relation is None or relation.rel_type not in BUNDLED:
        return
    for each in reversed(events):
        if each.event.event_id == relation.event_id:
            each.is_parent = True
            return


def _find_replaced(events: deque[TimelineEvent], shown: TimelineEvent) -> None:
    for each in reversed(events):
        if each.event.event_id == shown.replaces:
            shown.replaced_is(each.event)
            return
