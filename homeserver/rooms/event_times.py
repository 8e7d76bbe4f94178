"""Finding the event that is closest to a time.

Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event
"""

from collections.abc import Sequence

from homeserver.core.errors import NotFound
from homeserver.core.requester import Requester
from homeserver.rooms.past import OlderHistory
from homeserver.rooms.timeline import Timeline, VisibleRoom
from storage.tables.events import Direction, Events, StoredEvent

__all__ = ["EventTimes"]

_AROUND_EVENTS = 50
_SCANS_MAX = 10
_PROBES_MAX = 64


class EventTimes:
    """Finds events by the time at which they were sent.

    A timeline is in the order of arrival, which is nearly that of the times: the place is found by bisection,
    and among the events around it the closest one is taken.

    Args:
        timeline: what there is to see.
        events: the events.
        older: has what is older than all that is here.
    """

    def __init__(self, *, timeline: Timeline, events: Events, older: OlderHistory) -> None:
        self._timeline = timeline
        self._older = older
        self._events = events

    async def closest(
        self, requester: Requester, room_id: str, ts_ms: int, direction: Direction
    ) -> tuple[str, int]:
        """Tell ID and time of the event that is closest to a time: at or after it (`f`), or before it (`b`).

        Raises:
            Forbidden: the user may not see the room.
            NotFound: there is none in that direction.
        """
        room = await self._timeline.room(requester, room_id)
        first = await self._events.page(room.room_nid, None, "f", 1)
        if not first or first[0].event.origin_server_ts > ts_ms:
            event_id = await self._older.find(room_id, ts_ms, direction)
            if event_id is not None:
                # What is closest among all that is here now, as far as the reader may see it.
                room = await self._timeline.room(requester, room_id)
        place = await self._place_of(room, ts_ms)
        # Clocks differ and events come late, so the closest one may be on either side of the place.
        around = await self._events.page(room.room_nid, place, "b", _AROUND_EVENTS)
        beyond = await self._events.page(room.room_nid, place, "f", _AROUND_EVENTS)
        around += beyond
        for _ in range(_SCANS_MAX):
            found = await self._best(room, around, ts_ms, direction)
            if found is not None:
                return found.event.event_id, found.event.origin_server_ts
            if not around:
                break
            positions = [one.position for one in around]
            place = min(positions) - 1 if direction == "b" else max(positions)
            around = await self._events.page(room.room_nid, place, direction, 4 * _AROUND_EVENTS)
        raise NotFound(f"There is no event {'before' if direction == 'b' else 'after'} this time.")

    async def _best(
        self, room: VisibleRoom, around: Sequence[StoredEvent], ts_ms: int, direction: Direction
    ) -> StoredEvent | None:
        if direction == "f":
            fitting = [one for one in around if one.event.origin_server_ts >= ts_ms]
        else:
            fitting = [one for one in around if one.event.origin_server_ts <= ts_ms]
        visible = await self._timeline.visible(room, fitting)
        if direction == "f":
            return min(visible, key=lambda one: (one.event.origin_server_ts, one.position), default=None)
        return max(visible, key=lambda one: (one.event.origin_server_ts, one.position), default=None)

    async def _place_of(self, room: VisibleRoom, ts_ms: int) -> int:
        """Find a place before which events are older than a time, and after which they are not."""
        low, high = await self._timeline.first_position(room), await self._timeline.last_position(room)
        for _ in range(_PROBES_MAX):
            if low >= high:
                break
            middle = (low + high) // 2
            probed = await self._events.page(room.room_nid, middle, "f", 1, to_position=high)
            if not probed or probed[0].event.origin_server_ts >= ts_ms:
                high = middle
            else:
                low = probed[0].position
        return low
