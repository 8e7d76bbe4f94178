"""State resolution: from the states at the ends of several branches to one state.

Spec: https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution
"""

from collections.abc import Mapping, Sequence

from homeserver.core.auth.selection import StateKey
from homeserver.core.room_versions import StateResolution
from homeserver.core.state.conflict import Conflicts, conflicts_of, unconflicted_of
from homeserver.core.state.resolve_v1 import resolve_v1
from homeserver.core.state.resolve_v2 import resolve_v2
from homeserver.core.state.world import Asking, NeedState, World

__all__ = ["resolve", "resolve_conflicts"]


def resolve_conflicts(world: World, conflicts: Conflicts) -> Asking[dict[StateKey, int]]:
    """Resolve conflicts by the algorithm of the room's version.

    Args:
        world: what is known of the room; its `unconflicted` never holds a key of `conflicts`.
        conflicts: each key that is not the same in all states.

    Returns:
        What the resolved state has beside the unconflicted state. A conflicted key that is not in it is in no
        resolved state.
    """
    if not conflicts:
        return {}
    if world.create.rules.state_resolution is StateResolution.V1:
        return (yield from resolve_v1(world, conflicts))
    return (yield from resolve_v2(world, conflicts))


def resolve(world: World, states: Sequence[Mapping[StateKey, int]]) -> Asking[dict[StateKey, int]]:
    """Resolve whole states, all of them at hand. For few and small ones; rooms look only at what differs."""
    unconflicted = unconflicted_of(states)
    world.unconflicted_nids = sorted(unconflicted.values(), reverse=True)
    asking = resolve_conflicts(world, conflicts_of(states))
    try:
        need = next(asking)
        while True:
            if isinstance(need, NeedState):
                world.unconflicted |= {key: unconflicted.get(key) for key in need.keys}
            else:
                yield need
            need = next(asking)
    except StopIteration as done:
        resolved: dict[StateKey, int] = done.value
        return unconflicted | resolved
