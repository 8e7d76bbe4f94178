"""Drivers of state resolution: they run the product's algorithm on a `RoomGraph`, and number its events."""

from homeserver.core.state.conflict import conflicts_of, unconflicted_of
from homeserver.core.state.resolve import resolve, resolve_conflicts
from homeserver.core.state.world import (
    NeedAuthEvents,
    NeedEvents,
    NeedState,
    NeedUnconflicted,
    World,
    run,
)


class Numbered:
    """The events of a room with numbers, in some order in which an event comes after its auth events."""

    def __init__(self, room, order=None, step=1):
        self.room = room
        self.nids = {event_id: step * number for number, event_id in enumerate(order or room.events, 1)}
        self.ids = {nid: event_id for event_id, nid in self.nids.items()}

    def state(self, state):
        return {key: self.nids[event_id] for key, event_id in state.items()}

    def named(self, state):
        return {key: self.ids[nid] for key, nid in state.items()}

    def event(self, nid):
        return self.room.events[self.ids[nid]]

    def auth_events(self, nid):
        return tuple([self.nids[each] for each in self.event(nid).auth_events if each in self.nids])

    def whole_world(self):
        """Make a world that has everything of this room."""
        return World(
            self.room.create,
            events={nid: self.event(nid) for nid in self.ids},
            auth_events={nid: self.auth_events(nid) for nid in self.ids},
            rejected={self.nids[event_id] for event_id in self.room.rejected},
        )


def resolve_whole(room, states, order=None):
    """Resolve with everything at hand."""
    numbered = Numbered(room, order)
    return numbered.named(run(resolve(numbered.whole_world(), [numbered.state(state) for state in states])))


def resolve_lazily(room, states, order=None):
    """Resolve with nothing at hand but what is asked for, and check that nothing is asked for twice."""
    return ask_for_all(room, states, order)[0]


def ask_for_all(room, states, order=None):
    """Resolve lazily; returns the world as well, which holds what was asked for."""
    numbered = Numbered(room, order, step=7)
    numbers = [numbered.state(state) for state in states]
    conflicts, unconflicted = conflicts_of(numbers), unconflicted_of(numbers)
    world = World(room.create)
    asking = resolve_conflicts(world, conflicts)
    resolved = None
    while resolved is None:
        try:
            answer(next(asking), world, numbered, unconflicted)
        except StopIteration as done:
            resolved = done.value
    assert not resolved.keys() & unconflicted.keys()
    return numbered.named(unconflicted | resolved), world


def answer(need, world, numbered, unconflicted):
    match need:
        case NeedEvents(nids):
            assert nids
            assert not nids & world.events.keys()
            world.events |= {nid: numbered.event(nid) for nid in nids}
            world.auth_events |= {nid: numbered.auth_events(nid) for nid in nids}
            world.rejected |= {nid for nid in nids if numbered.ids[nid] in numbered.room.rejected}
        case NeedAuthEvents(nids):
            assert nids
            assert not nids & world.auth_events.keys()
            world.auth_events |= {nid: numbered.auth_events(nid) for nid in nids}
        case NeedState(keys):
            assert keys
            assert not keys & world.unconflicted.keys()
            world.unconflicted |= {key: unconflicted.get(key) for key in keys}
        case NeedUnconflicted():
            assert world.unconflicted_nids is None
            world.unconflicted_nids = sorted(unconflicted.values(), reverse=True)
