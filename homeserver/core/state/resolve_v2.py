"""State resolution, version 2 and version 2.1.

Spec: https://spec.matrix.org/v1.19/rooms/v2/#state-resolution and
https://spec.matrix.org/v1.19/rooms/v12/#state-resolution
"""

from collections.abc import Collection

from homeserver.core.auth.selection import StateKey
from homeserver.core.content.member import BAN, LEAVE, membership_in
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import StateResolution
from homeserver.core.state.auth_chain import auth_difference, conflicted_subgraph
from homeserver.core.state.conflict import Conflicts, conflicted_nids
from homeserver.core.state.iterative import apply_allowed
from homeserver.core.state.ordering import mainline_order, power_order
from homeserver.core.state.world import Asking, World

__all__ = ["is_power_event", "resolve_v2"]

_POWER_LEVELS: StateKey = ("m.room.power_levels", "")
_POWER_KEYS = frozenset((_POWER_LEVELS, ("m.room.join_rules", "")))
_REMOVED = frozenset((BAN, LEAVE))


def is_power_event(event: Event) -> bool:
    """Say whether an event might take away somebody's ability to do something in the room.

    COMPAT: power levels and join rules with a state key mean nothing, and are none to other servers either,
    though the text does not leave them out. See docs/decisions/0005.
    """
    if (event.type, event.state_key) in _POWER_KEYS:
        return True
    if event.type != "m.room.member" or event.state_key is None or event.sender == event.state_key:
        return False
    return membership_in(event.content) in _REMOVED


def resolve_v2(world: World, conflicts: Conflicts) -> Asking[dict[StateKey, int]]:
    """Resolve conflicts; returns what the resolved state has beside the unconflicted state."""
    is_v2_1 = world.create.rules.state_resolution is StateResolution.V2_1
    full = yield from _full_conflicted_set(world, conflicts, with_subgraph=is_v2_1)
    yield from world.have_events(full)
    # 1. Power events, and what allows them, in the reverse topological power ordering.
    power = _with_chains_within(world, full, {nid for nid in full if is_power_event(world.events[nid])})
    first = yield from power_order(world, power)
    # 2. Apply them: to nothing in version 2.1, to the unconflicted state before.
    state: dict[StateKey, int] = {}
    yield from apply_allowed(world, first, state, from_unconflicted=not is_v2_1)
    # 3. The rest in the mainline ordering, based on the power levels that came of that.
    power_levels = state.get(_POWER_LEVELS)
    if power_levels is None and not is_v2_1:
        yield from world.have_state((_POWER_LEVELS,))
        power_levels = world.unconflicted[_POWER_LEVELS]
    rest = yield from mainline_order(world, full - power, power_levels)
    # 4. Apply them as well.
    yield from apply_allowed(world, rest, state, from_unconflicted=not is_v2_1)
    # 5. What is unconflicted stays as it is.
    yield from world.have_state([key for key in state if key not in conflicts])
    return {key: nid for key, nid in state.items() if key in conflicts or world.unconflicted[key] is None}


def _with_chains_within(world: World, full: Collection[int], nids: Collection[int]) -> set[int]:
    """Add what allows some events, and what allows that, so far as it is in the full conflicted set.

    COMPAT: what is reached only by way of other events stays out, as elsewhere. See docs/decisions/0005.
    """
    found = set(nids)
    waiting = list(nids)
    while waiting:
        for auth_event in world.auth_events[waiting.pop()]:
            if auth_event in full and auth_event not in found:
                found.add(auth_event)
                waiting.append(auth_event)
    return found


def _full_conflicted_set(world: World, conflicts: Conflicts, *, with_subgraph: bool) -> Asking[set[int]]:
    conflicted = conflicted_nids(conflicts)
    sets = [{nid for nid in values if nid is not None} for values in zip(*conflicts.values(), strict=True)]
    difference = yield from auth_difference(world, sets)
    full = conflicted | difference
    if with_subgraph:
        full |= yield from conflicted_subgraph(world, conflicted)
    return full
