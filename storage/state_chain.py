"""The chain of a state group: itself, its base, the base of that, down to the empty state.

Group *n* of a line stores the difference to group *n* - lowbit(*n*), so a chain has at most log₂(n) + 1
links, and on average a group stores half of log₂(n) entries.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.state_delta import ABSENT, StateDelta

__all__ = ["EMPTY_GROUP", "ChainLink", "NewGroup", "StateChain", "differences"]

EMPTY_GROUP = 0


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A group as the difference to its base.

    Attributes:
        group: its number.
        depth: how many changes are below it, roughly: what the lengths of chains depend on.
        delta: what it has that its base, the next link, has not.
    """

    group: int
    depth: int
    delta: StateDelta


@dataclass(frozen=True, slots=True)
class NewGroup:
    """A group that is to be stored, unless the row of its event says it all.

    Attributes:
        base: number of its base.
        depth: as in its link.
        delta: as in its link.
        is_step: it is its base and one event more.
    """

    base: int
    depth: int
    delta: StateDelta
    is_step: bool


class StateChain:
    """A group with all below it. Nobody may alter one.

    Args:
        links: from the group down; none for the empty state.
    """

    __slots__ = ("links",)

    def __init__(self, links: Sequence[ChainLink] = ()) -> None:
        self.links = tuple(links)

    @property
    def group(self) -> int:
        """The number of the group."""
        return self.links[0].group if self.links else EMPTY_GROUP

    @property
    def depth(self) -> int:
        """The depth of the group."""
        return self.links[0].depth if self.links else 0

    @property
    def entries_max(self) -> int:
        """No more entries than this has the state; it may have fewer, since links replace each other's."""
        return sum([len(link.delta) for link in self.links])

    def get(self, key: int) -> int | None:
        """Look up one key; None if the state has nothing for it."""
        for link in self.links:
            nid = link.delta.get(key)
            if nid is not None:
                return None if nid == ABSENT else nid
        return None

    def items(self) -> dict[int, int]:
        """The whole state."""
        state: dict[int, int] = {}
        removed = False
        for link in reversed(self.links):
            delta = link.delta
            state.update(zip(delta.keys, delta.nids, strict=True))
            removed = removed or ABSENT in delta.nids
        return {key: nid for key, nid in state.items() if nid != ABSENT} if removed else state

    def plan(self, changes: Mapping[int, int]) -> NewGroup:
        """Plan the group that comes of this one by some changes."""
        depth = _depth_after(self.depth, len(changes))
        floor = depth - (depth & -depth)
        merged = [link.delta for link in self.links if link.depth > floor]
        values: dict[int, int] = {}
        for delta in reversed(merged):
            values.update(zip(delta.keys, delta.nids, strict=True))
        values.update(changes)
        below = self.links[len(merged) :]
        if not below:
            values = {key: nid for key, nid in values.items() if nid != ABSENT}
        is_step = not merged and len(changes) == 1 and ABSENT not in changes.values()
        return NewGroup(below[0].group if below else EMPTY_GROUP, depth, StateDelta.of(values), is_step)

    def after(self, group: int, planned: NewGroup) -> "StateChain":
        """Return the chain of a planned group that has got its number."""
        floor = planned.depth - (planned.depth & -planned.depth)
        below = [link for link in self.links if link.depth <= floor]
        return StateChain((ChainLink(group, planned.depth, planned.delta), *below))


def _depth_after(depth: int, changes: int) -> int:
    """Find the depth of a group made by many changes: a round number, lest they are copied over and over."""
    step = 1 << max(0, changes - 1).bit_length()
    return (depth // step + 1) * step


def differences(chains: Sequence[StateChain]) -> dict[int, tuple[int | None, ...]]:
    """Find the keys for which states differ, with the value of each, by what is above their common base."""
    shared = {link.group for link in chains[0].links}
    for chain in chains[1:]:
        shared &= {link.group for link in chain.links}
    keys: set[int] = set()
    for chain in chains:
        for link in chain.links:
            if link.group in shared:
                break
            keys.update(link.delta.keys)
    found: dict[int, tuple[int | None, ...]] = {}
    for key in keys:
        values = tuple([chain.get(key) for chain in chains])
        if any(value != values[0] for value in values):
            found[key] = values
    return found
