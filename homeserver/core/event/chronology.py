"""The order of events of a graph: each after its predecessors, and beside that the older ones first."""

import heapq
from collections.abc import Iterable, Sequence

from homeserver.core.event.pdu import Event

__all__ = ["chronological", "connected"]


def chronological(events: Iterable[Event]) -> list[Event]:
    """Sort events so that each comes after those of the others that it follows.

    Of those that could come next, the one with the least depth does, then the one that was sent first: the
    depth grows with every event of an honest server. Events that follow themselves, by way of others, are not
    told.
    """
    by_id = {event.event_id: event for event in events}
    waits_for = {
        event_id: len({one for one in event.prev_events if one in by_id}) for event_id, event in by_id.items()
    }
    followers: dict[str, list[Event]] = {}
    for event in by_id.values():
        for event_id in dict.fromkeys(event.prev_events):
            if event_id in by_id:
                followers.setdefault(event_id, []).append(event)
    ready = [_place(by_id[event_id]) for event_id, count in waits_for.items() if not count]
    heapq.heapify(ready)
    ordered = []
    while ready:
        event_id = heapq.heappop(ready)[2]
        ordered.append(by_id[event_id])
        for follower in followers.get(event_id, ()):
            waits_for[follower.event_id] -= 1
            if not waits_for[follower.event_id]:
                heapq.heappush(ready, _place(follower))
    return ordered


def connected(events: Iterable[Event], latest: Sequence[str]) -> list[Event]:
    """Those of some events that are among the latest, or before them by way of each other."""
    by_id = {event.event_id: event for event in events}
    found: dict[str, Event] = {}
    level = list(latest)
    while level:
        level = [event_id for event_id in level if event_id in by_id and event_id not in found]
        found.update((event_id, by_id[event_id]) for event_id in level)
        level = [before for event_id in dict.fromkeys(level) for before in by_id[event_id].prev_events]
    return list(found.values())


def _place(event: Event) -> tuple[int, int, str]:
    return event.depth, event.origin_server_ts, event.event_id
