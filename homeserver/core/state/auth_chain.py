"""Walks through the graph of auth events: from an event to those that allow it, and on to what allows these.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#definitions

All of them go from greater numbers to smaller ones, so each node is looked at once, and a walk can end before
the beginning of the room.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from heapq import heapify, heappop, heappush
from operator import neg

from homeserver.core.state.world import Asking, NeedUnconflicted, World

__all__ = ["auth_difference", "conflicted_subgraph"]

_BATCH_NODES_MIN, _BATCH_NODES_MAX = 16, 2_048
"""How many nodes are asked for at a time; more and more, since most walks are short and a few very long."""


def _ancestors_down_to(world: World, nids: Collection[int], lowest: int) -> Asking[set[int]]:
    """Find the events themselves and what is in their auth chains, leaving out numbers below `lowest`."""
    level = {nid for nid in nids if nid >= lowest}
    found = set(level)
    while level:
        yield from world.have_auth_events(level)
        auth_events = world.auth_events
        level = {nid for one in level for nid in auth_events[one] if nid >= lowest and nid not in found}
        found |= level
    return found


def conflicted_subgraph(world: World, conflicted: Collection[int]) -> Asking[set[int]]:
    """Find the conflicted state subgraph: all that lies on a path from one conflicted event to another."""
    if not conflicted:
        return set()
    reached = yield from _ancestors_down_to(world, conflicted, min(conflicted))
    on_path: set[int] = set()
    for nid in sorted(reached):  # auth events come first
        if nid in conflicted or not on_path.isdisjoint(world.auth_events[nid]):
            on_path.add(nid)
    return on_path


def auth_difference(world: World, sets: Sequence[Collection[int]]) -> Asking[set[int]]:
    """Find the events that are in the auth chain of some states but not of all.

    NOTSPEC: a state event counts as part of the auth chain of its own state, as in other servers; otherwise
    rooms of version 12 could resolve differently. See docs/decisions/0005.

    Args:
        world: is asked for auth events, and for the unconflicted state.
        sets: the conflicted events of each state.
    """
    walk = _Difference(world, sets)
    if walk.partial and world.unconflicted_nids is None:
        yield NeedUnconflicted()
    walk.add_unconflicted(world.unconflicted_nids or ())
    batch_nodes = _BATCH_NODES_MIN
    while walk.partial:
        if not walk.can_step():
            yield from world.have_auth_events(walk.upcoming(batch_nodes))
            batch_nodes = min(2 * batch_nodes, _BATCH_NODES_MAX)
        walk.step()
    return walk.difference


class _Difference:
    """Walks down from all states at once. Each node carries a mask: bit *i* for the auth chain of state *i*.

    Once every node that waits carries the full mask, so does all that is below.
    """

    def __init__(self, world: World, sets: Sequence[Collection[int]]) -> None:
        self._auth_events = world.auth_events
        self._full = (1 << len(sets)) - 1
        self._masks: dict[int, int] = {}
        for index, nids in enumerate(sets):
            for nid in nids:
                self._masks[nid] = self._masks.get(nid, 0) | 1 << index
        self._heap = [-nid for nid in self._masks]
        heapify(self._heap)
        self.partial = sum(mask != self._full for mask in self._masks.values())
        self._unconflicted: Sequence[int] = ()
        self._next_unconflicted = 0
        self.difference: set[int] = set()

    def add_unconflicted(self, nids: Sequence[int]) -> None:
        """Take the unconflicted events, which are in every state; in descending order."""
        self._unconflicted = nids
        self._pull_unconflicted()

    def can_step(self) -> bool:
        """Say whether the auth events of the next node are at hand."""
        return -self._heap[0] in self._auth_events

    def upcoming(self, nodes: int) -> list[int]:
        """List nodes that come next, roughly: the front of a heap holds its smallest."""
        start = self._next_unconflicted
        queued = [-negated for negated in self._heap[:nodes]]
        return queued + list(self._unconflicted[start : start + nodes])

    def step(self) -> None:
        """Settle the greatest node, and pass its mask on to its auth events."""
        nid = -heappop(self._heap)
        mask = self._masks.pop(nid)
        if mask != self._full:
            self.difference.add(nid)
            self.partial -= 1
        for auth_event in self._auth_events[nid]:
            assert auth_event < nid, "an event is numbered after those that allow it"
            self._reach(auth_event, mask)
        self._pull_unconflicted()

    def _pull_unconflicted(self) -> None:
        """Let in the unconflicted events that come before the next node, or are it."""
        nids, index = self._unconflicted, self._next_unconflicted
        while index < len(nids) and self.partial and nids[index] >= -self._heap[0]:
            self._reach(nids[index], self._full)
            index += 1
        self._next_unconflicted = index

    def _reach(self, nid: int, mask: int) -> None:
        before = self._masks.get(nid)
        if before is None:
            if mask != self._full and self._is_unconflicted(nid):
                mask = self._full  # without this, all newer unconflicted events would be walked through first
            heappush(self._heap, -nid)
            self._masks[nid] = mask
            self.partial += mask != self._full
        elif before | mask != before:
            self._masks[nid] = before | mask
            self.partial -= before | mask == self._full

    def _is_unconflicted(self, nid: int) -> bool:
        index = bisect_left(self._unconflicted, -nid, key=neg)
        return index < len(self._unconflicted) and self._unconflicted[index] == nid
