"""Where states differ.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#definitions
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from homeserver.core.auth.selection import StateKey

__all__ = ["Conflicts", "conflicted_nids", "conflicts_of", "unconflicted_of"]

Conflicts: TypeAlias = Mapping[StateKey, Sequence[int | None]]
"""For each type and state key that is not the same in every state: its event in each of them, or None."""


def conflicts_of(states: Sequence[Mapping[StateKey, int]]) -> dict[StateKey, tuple[int | None, ...]]:
    """Find the keys whose event is not the same, or not there, in every state."""
    keys = {key for state in states for key in state}
    found: dict[StateKey, tuple[int | None, ...]] = {}
    for key in keys:
        values = tuple([state.get(key) for state in states])
        if any(value != values[0] for value in values):
            found[key] = values
    return found


def unconflicted_of(states: Sequence[Mapping[StateKey, int]]) -> dict[StateKey, int]:
    """Find what is the same in every state."""
    first, *others = states
    return {key: nid for key, nid in first.items() if all(state.get(key) == nid for state in others)}


def conflicted_nids(conflicts: Conflicts) -> set[int]:
    """List the conflicted state set."""
    return {nid for values in conflicts.values() for nid in values if nid is not None}
