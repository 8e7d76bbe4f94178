"""Iterative auth checks: applies events to a state, one after the other, so far as they are allowed.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#definitions
"""

from collections.abc import Mapping, Sequence

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.event.pdu import Event
from homeserver.core.state.world import Asking, World

__all__ = ["apply_allowed", "auth_keys_of"]

_CREATE: StateKey = ("m.room.create", "")


def auth_keys_of(event: Event) -> list[StateKey]:
    """List the state that decides about an event, apart from the create event."""
    return auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content)


def apply_allowed(
    world: World, nids: Sequence[int], state: dict[StateKey, int], *, from_unconflicted: bool
) -> Asking[None]:
    """Apply events, in order, to a state; those that it does not allow are passed over.

    Args:
        world: has the events, and those that allow them.
        nids: the events.
        state: is changed. Only what differs from the unconflicted state need be in it.
        from_unconflicted: what is not in `state` is as in the unconflicted state.
    """
    yield from world.have_events(nids)
    yield from world.have_events([one for nid in nids for one in world.auth_events[nid]])
    if from_unconflicted:
        yield from world.have_state({key for nid in nids for key in auth_keys_of(world.events[nid])})
    base: Mapping[StateKey, int | None] = world.unconflicted if from_unconflicted else {}
    for nid in nids:
        event = world.events[nid]
        assert event.state_key is not None, "only state events are resolved"
        if authorize(event, _auth_state(world, nid, state, base)) is None:
            state[event.type, event.state_key] = nid


def _auth_state(
    world: World, nid: int, state: Mapping[StateKey, int], base: Mapping[StateKey, int | None]
) -> dict[StateKey, Event]:
    """Gather the state that decides about an event; what is missing is taken from its own auth events."""
    events = world.events
    # The create event is never conflicted, and not among the auth events of every room version.
    found = {_CREATE: world.create}
    named: dict[StateKey, Event] | None = None
    for key in auth_keys_of(events[nid]):
        there = state.get(key)
        if there is None:
            there = base.get(key)
        if there is not None:
            found[key] = events[there]
            continue
        if named is None:
            named = {
                (events[one].type, events[one].state_key or ""): events[one]
                for one in world.auth_events[nid]
                if one not in world.rejected
            }
        if key in named:
            found[key] = named[key]
    return found
