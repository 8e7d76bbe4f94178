"""The history of a room as other servers ask for it: back from some events, along the graph.

Spec: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
"""

import heapq
from collections.abc import Collection, Iterable, Sequence

from homeserver.core.errors import NotFound
from storage.pool import Database
from storage.tables.events import Direction, EventFlags, Events, StoredEvent
from storage.tables.pdus import NOT_TOLD, page_before

__all__ = ["ServerHistory"]

PAGE_FACTOR = 2
PAGE_MIN = 20
AROUND_EVENTS = 50
SCANS_MAX = 10
PROBES_MAX = 64
_NOT_TOLD = NOT_TOLD | EventFlags.OVER_LIFETIME


class ServerHistory:
    """Walks the graph of rooms.

    Args:
        database: where the events are.
        events: reads them.
    """

    def __init__(self, database: Database, events: Events) -> None:
        self._database = database
        self._events = events

    async def back_from(
        self, room_nid: int, start_ids: Collection[str], limit: int, *, without: Collection[str] = (),
        includes_start: bool = True, depth_min: int = 0,
    ) -> list[StoredEvent]:  # fmt: skip
        """List events and those before them, the latest first: the deepest of those that could come next.

        Args:
            room_nid: the room.
            start_ids: where to start; those that are not here are passed over.
            limit: at most so many events.
            without: neither these, nor what is only before them.
            includes_start: whether the first ones count.
            depth_min: what is less deep is left out, with all before it.
        """
        starts = await self._events.by_ids(start_ids)
        starts = {event_id: one for event_id, one in starts.items() if one.room_nid == room_nid}
        if not starts:
            return []
        known = dict(starts)
        await self._read_before(known, room_nid, starts.values(), limit)
        found: list[StoredEvent] = []
        seen = {*starts, *without}
        ends = [one for event_id, one in starts.items() if event_id not in set(without)]
        if not includes_start:
            ends = await self._before(known, room_nid, ends, seen)
        heap = [(-one.event.depth, -one.position, one) for one in ends if _is_told(one, depth_min)]
        heapq.heapify(heap)
        while heap and len(found) < limit:
            one = heapq.heappop(heap)[2]
            found.append(one)
            for before in await self._before(known, room_nid, [one], seen):
                if _is_told(before, depth_min):
                    heapq.heappush(heap, (-before.event.depth, -before.position, before))
        return found

    async def _read_before(
        self, known: dict[str, StoredEvent], room_nid: int, starts: Iterable[StoredEvent], limit: int
    ) -> None:
        """Read what will probably be asked for: the graph is nearly a line, in the order of the timeline."""
        placed = [one.position for one in starts if _is_told(one, 0)]
        if placed:
            count = max(PAGE_MIN, PAGE_FACTOR * limit)
            rows = await page_before(self._database, room_nid, max(placed), limit=count)
            for one in await self._events.assemble(list(rows)):
                known.setdefault(one.event.event_id, one)

    async def _before(
        self, known: dict[str, StoredEvent], room_nid: int, events: Sequence[StoredEvent], seen: set[str]
    ) -> list[StoredEvent]:
        """The predecessors of events that were not seen yet; they are, from then on."""
        named = [event_id for one in events for event_id in one.event.prev_events]
        fresh = [event_id for event_id in dict.fromkeys(named) if event_id not in seen]
        seen.update(fresh)
        unknown = [event_id for event_id in fresh if event_id not in known]
        if unknown:
            known.update(await self._events.by_ids(unknown))
        return [known[one] for one in fresh if one in known and known[one].room_nid == room_nid]

    async def closest(self, room_nid: int, ts_ms: int, direction: Direction) -> StoredEvent:
        """Find the event that is closest to a time: at or after it (`f`), or before it (`b`).

        A timeline is in the order of arrival, which is nearly that of the times.

        Raises:
            NotFound: there is none in that direction.
        """
        place = await self._place_of(room_nid, ts_ms)
        around = await self._events.page(room_nid, place, "b", AROUND_EVENTS)
        around += await self._events.page(room_nid, place, "f", AROUND_EVENTS)
        for _ in range(SCANS_MAX):
            if direction == "f":
                fitting = [one for one in around if one.event.origin_server_ts >= ts_ms]
            else:
                fitting = [one for one in around if one.event.origin_server_ts <= ts_ms]
            if fitting:
                return min(fitting, key=lambda one: abs(one.event.origin_server_ts - ts_ms))
            if not around:
                break
            positions = [one.position for one in around]
            place = min(positions) - 1 if direction == "b" else max(positions)
            around = await self._events.page(room_nid, place, direction, 4 * AROUND_EVENTS)
        raise NotFound(f"There is no event {'before' if direction == 'b' else 'after'} this time.")

    async def _place_of(self, room_nid: int, ts_ms: int) -> int:
        first = await self._events.page(room_nid, None, "f", 1)
        last = await self._events.latest(room_nid, 1)
        if not first or not last:
            return 0
        low, high = first[0].position - 1, last[0].position
        for _ in range(PROBES_MAX):
            if low >= high:
                break
            middle = (low + high) // 2
            probed = await self._events.page(room_nid, middle, "f", 1, to_position=high)
            if not probed or probed[0].event.origin_server_ts >= ts_ms:
                high = middle
            else:
                low = probed[0].position
        return low


def _is_told(stored: StoredEvent, depth_min: int) -> bool:
    return not stored.flags & _NOT_TOLD and stored.event.depth >= depth_min
