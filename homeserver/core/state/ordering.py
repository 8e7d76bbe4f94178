"""The two orders in which conflicted events are tried.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#definitions
"""

import math
from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heappush

from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.state.auth_chain import ancestors_down_to
from homeserver.core.state.world import Asking, World

__all__ = ["mainline_order", "power_order"]

_POWER_LEVELS = "m.room.power_levels"


def power_order(world: World, nids: Collection[int]) -> Asking[list[int]]:
    """Sort events into the reverse topological power ordering.

    An event comes after those that allow it; otherwise the more powerful sender first, then the earlier
    event, then the one with the smaller ID.
    """
    parents = yield from _parents_within(world, nids)
    yield from world.have_events(nids)
    yield from world.have_events([auth_event for nid in nids for auth_event in world.auth_events[nid]])
    children: dict[int, list[int]] = {nid: [] for nid in nids}
    waiting_for: dict[int, int] = {}
    for nid, above in parents.items():
        waiting_for[nid] = len(above)
        for parent in above:
            children[parent].append(nid)
    ready = [(*_power_key(world, nid), nid) for nid, count in waiting_for.items() if not count]
    heapify(ready)
    ordered = []
    while ready:
        nid = heappop(ready)[-1]
        ordered.append(nid)
        for child in children[nid]:
            waiting_for[child] -= 1
            if not waiting_for[child]:
                heappush(ready, (*_power_key(world, child), child))
    return ordered


def _parents_within(world: World, nids: Collection[int]) -> Asking[dict[int, frozenset[int]]]:
    """Find, for each event, the next of the others on every way through its auth chain."""
    reached = yield from ancestors_down_to(world, nids, min(nids, default=0))
    above: dict[int, frozenset[int]] = {}
    for nid in sorted(reached):  # auth events come first
        found: set[int] = set()
        for one in world.auth_events[nid]:
            if one in nids:
                found.add(one)
            else:
                found |= above.get(one, frozenset())
        above[nid] = frozenset(found)
    return {nid: above[nid] for nid in nids}


def _power_key(world: World, nid: int) -> tuple[float, int, str]:
    event = world.events[nid]
    power_levels = next((world.events[one] for one in _power_levels_of(world, nid)), None)
    levels = PowerLevels.of(power_levels, world.create, event.rules)
    return -levels.user_level(event.sender), event.origin_server_ts, event.event_id


def mainline_order(world: World, nids: Collection[int], power_levels: int | None) -> Asking[list[int]]:
    """Sort events into the mainline ordering, based on an `m.room.power_levels` event if there is one."""
    positions: dict[int, float] = {}
    here = power_levels
    while here is not None:
        positions[here] = len(positions)
        here = yield from _power_levels_before(world, here)
    yield from world.have_events(nids)
    yield from world.have_events([one for nid in nids for one in world.auth_events[nid]])
    keyed = []
    for nid in nids:
        position = yield from _mainline_position(world, nid, positions)
        event = world.events[nid]
        keyed.append((-position, event.origin_server_ts, event.event_id, nid))
    return [key[-1] for key in sorted(keyed)]


def _mainline_position(world: World, nid: int, positions: dict[int, float]) -> Asking[float]:
    """Find where an event's power levels meet the mainline; takes note of it for all that were passed."""
    passed = []
    here = yield from _power_levels_before(world, nid)
    while here is not None and here not in positions:
        passed.append(here)
        here = yield from _power_levels_before(world, here)
    position = math.inf if here is None else positions[here]
    positions.update(dict.fromkeys(passed, position))
    return position


def _power_levels_before(world: World, nid: int) -> Asking[int | None]:
    yield from world.have_events((nid,))
    yield from world.have_events(world.auth_events[nid])
    return next(iter(_power_levels_of(world, nid)), None)


def _power_levels_of(world: World, nid: int) -> Iterable[int]:
    return [one for one in world.auth_events[nid] if world.events[one].type == _POWER_LEVELS]
