"""The two orders in which conflicted events are tried.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#definitions
"""

import math
from collections.abc import Collection, Iterable
from heapq import heapify, heappop, heappush

from homeserver.core.auth.selection import StateKey
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.state.world import Asking, World

__all__ = ["mainline_order", "power_order"]

_POWER_LEVELS: StateKey = ("m.room.power_levels", "")


def power_order(world: World, nids: Collection[int]) -> Asking[list[int]]:
    """Sort events into the reverse topological power ordering.

    An event comes after those of its auth events that are to be sorted as well; otherwise the more powerful
    sender first, then the earlier event, then the one with the smaller ID.
    """
    yield from world.have_events(nids)
    yield from world.have_events([auth_event for nid in nids for auth_event in world.auth_events[nid]])
    children: dict[int, list[int]] = {nid: [] for nid in nids}
    waiting_for = dict.fromkeys(nids, 0)
    for nid in nids:
        for auth_event in world.auth_events[nid]:
            if auth_event in children:
                children[auth_event].append(nid)
                waiting_for[nid] += 1
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


def _power_key(world: World, nid: int) -> tuple[float, int, str]:
    event = world.events[nid]
    power_levels = next((world.events[one] for one in _power_levels_of(world, nid)), None)
    levels = PowerLevels.of(power_levels, world.create, event.rules)
    return -levels.user_level(event.sender), event.origin_server_ts, event.event_id


def mainline_order(world: World, nids: Collection[int], power_levels: int | None) -> Asking[list[int]]:
    """Sort events into the mainline ordering, based on an `m.room.power_levels` event if there is one."""
    mainline = _Mainline(world, power_levels)
    yield from world.have_events(nids)
    yield from world.have_events([one for nid in nids for one in world.auth_events[nid]])
    keyed = []
    for nid in nids:
        position = yield from mainline.position_of(nid)
        event = world.events[nid]
        keyed.append((-position, event.origin_server_ts, event.event_id, nid))
    return [key[-1] for key in sorted(keyed)]


class _Mainline:
    """The power levels that led to the present ones.

    A room may have had thousands, so only those are read that are as new as the ones that are asked about.
    """

    def __init__(self, world: World, power_levels: int | None) -> None:
        self._world = world
        self._next = power_levels
        self._length = 0
        self._oldest: float = math.inf
        self._positions: dict[int, float] = {}  # also of power levels off the mainline: where they left it

    def position_of(self, nid: int) -> Asking[float]:
        """Find where the power levels of an event meet the mainline."""
        passed = []
        here = yield from _power_levels_before(self._world, nid)
        while here is not None and here not in self._positions:
            yield from self._read_down_to(here)
            if here in self._positions:
                break
            passed.append(here)
            is_past_its_end = self._next is None and here < self._oldest
            here = None if is_past_its_end else (yield from _power_levels_before(self._world, here))
        position = math.inf if here is None else self._positions[here]
        self._positions.update(dict.fromkeys(passed, position))
        return position

    def _read_down_to(self, nid: int) -> Asking[None]:
        while self._next is not None and self._next >= nid:
            self._positions[self._next] = self._length
            self._oldest = self._next
            self._length += 1
            self._next = yield from _power_levels_before(self._world, self._next)


def _power_levels_before(world: World, nid: int) -> Asking[int | None]:
    yield from world.have_events((nid,))
    yield from world.have_events(world.auth_events[nid])
    return next(iter(_power_levels_of(world, nid)), None)


def _power_levels_of(world: World, nid: int) -> Iterable[int]:
    events = world.events
    return [
        one for one in world.auth_events[nid] if (events[one].type, events[one].state_key) == _POWER_LEVELS
    ]
