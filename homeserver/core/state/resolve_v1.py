"""State resolution, version 1.

Spec: https://spec.matrix.org/v1.19/rooms/v1/#state-resolution
"""

from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha1

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import StateKey
from homeserver.core.event.pdu import Event
from homeserver.core.state.conflict import Conflicts
from homeserver.core.state.iterative import auth_keys_of
from homeserver.core.state.world import Asking, World

__all__ = ["resolve_v1"]

_CREATE: StateKey = ("m.room.create", "")
_FIRST_TYPES = ("m.room.power_levels", "m.room.join_rules", "m.room.member")


def resolve_v1(world: World, conflicts: Conflicts) -> Asking[dict[StateKey, int]]:
    """Resolve conflicts; returns what the resolved state has beside the unconflicted state.

    A key that some states have and others lack is no conflict in this version.
    """
    resolved: dict[StateKey, int] = {}
    conflicting: dict[StateKey, set[int]] = {}
    for key, values in conflicts.items():
        nids = {nid for nid in values if nid is not None}
        if len(nids) == 1:
            resolved[key] = nids.pop()
        elif nids:
            conflicting[key] = nids
    yield from _have_all(world, resolved, conflicting)
    for event_type in _FIRST_TYPES:
        # Conflicts of one type do not see how the others of that type are resolved.
        won = {
            key: _last_of_allowed_run(world, nids, resolved)
            for key, nids in conflicting.items()
            if key[0] == event_type
        }
        resolved |= won
    return resolved | {
        key: _first_allowed(world, nids, resolved)
        for key, nids in conflicting.items()
        if key[0] not in _FIRST_TYPES
    }


def _have_all(
    world: World, resolved: Mapping[StateKey, int], conflicting: Mapping[StateKey, Collection[int]]
) -> Asking[None]:
    yield from world.have_events([nid for nids in conflicting.values() for nid in nids])
    keys = {key for nids in conflicting.values() for nid in nids for key in auth_keys_of(world.events[nid])}
    yield from world.have_state(keys - resolved.keys() - conflicting.keys())
    yield from world.have_events([resolved[key] for key in keys if key in resolved])


def _last_of_allowed_run(world: World, nids: Iterable[int], resolved: dict[StateKey, int]) -> int:
    """From the shallowest event on, let each replace the one before, up to the first that is not allowed."""
    first, *later = sorted(nids, key=lambda nid: _depth_key(world.events[nid]), reverse=True)
    event = world.events[first]
    key = (event.type, event.state_key or "")
    winner = first
    for nid in later:
        if not _is_allowed(world, nid, ChainMap({key: winner}, resolved)):
            break
        winner = nid
    return winner


def _first_allowed(world: World, nids: Iterable[int], resolved: Mapping[StateKey, int]) -> int:
    """Find the deepest event that is allowed; COMPAT: the shallowest one if none is, as other servers do."""
    ordered = sorted(nids, key=lambda nid: _depth_key(world.events[nid]))
    return next((nid for nid in ordered if _is_allowed(world, nid, resolved)), ordered[-1])


def _depth_key(event: Event) -> tuple[int, str]:
    # The room version wants SHA-1; nothing is kept safe by it.
    return -event.depth, sha1(event.event_id.encode(), usedforsecurity=False).hexdigest()


def _is_allowed(world: World, nid: int, state: Mapping[StateKey, int]) -> bool:
    event = world.events[nid]
    found = {_CREATE: world.create}
    for key in auth_keys_of(event):
        there = state.get(key)
        if there is None:
            there = world.unconflicted.get(key)
        if there is not None:
            found[key] = world.events[there]
    return authorize(event, found) is None
