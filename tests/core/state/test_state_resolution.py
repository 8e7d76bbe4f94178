"""State resolution against its second, simple implementation, on random rooms of every version."""

import random

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.core.state import reference
from tests.core.state.worlds import resolve_lazily, resolve_whole
from tests.factory.room_moves import MOVE_BYTES, room_of

VERSIONS = ("1", "2", "6", "8", "10", "11", "12")
every_version = pytest.mark.parametrize("version", VERSIONS)

starts = st.integers(0, 15)
moves = st.lists(st.binary(min_size=MOVE_BYTES, max_size=MOVE_BYTES), min_size=3, max_size=30)
seeds = st.integers(0, 2**32)


def any_order(room, chance):
    """List the events of a room in some other order in which each comes after its auth events."""
    waiting = dict.fromkeys(chance.sample(list(room.events), len(room.events)))
    order = []
    while waiting:
        event_id = next(each for each in waiting if waiting.keys().isdisjoint(room.events[each].auth_events))
        order.append(event_id)
        del waiting[event_id]
    return order


def shuffled(state, chance):
    return dict(chance.sample(list(state.items()), len(state)))


def check_states(room, states, chance):
    """Resolve states in every way that there is; returns what all of them came to."""
    expected = reference.resolve(room, states)
    note(room.describe())
    assert resolve_whole(room, states) == expected
    other_way = [shuffled(state, chance) for state in chance.sample(states, len(states))]
    assert resolve_whole(room, other_way, any_order(room, chance)) == expected
    assert resolve_lazily(room, states, any_order(room, chance)) == expected
    return expected


@every_version
@given(start=starts, moves=moves, seed=seeds)
def test_the_ends_of_a_room_resolve_as_the_text_says(version, start, moves, seed):
    room = room_of(version, start, moves, resolve_whole)
    states = [room.state_after[head] for head in room.heads]

    resolved = check_states(room, states, random.Random(seed))

    known = set().union(*[state.values() for state in states])
    known |= {each for event_id in known for each in reference.auth_chain(room, event_id)}
    assert set(resolved.values()) <= known
    assert room.rejected.isdisjoint(resolved.values())
    assert all(resolved[key] == event_id for key, event_id in reference.split(states)[0].items())


@every_version
@given(start=starts, moves=moves, seed=seeds)
def test_states_of_any_times_resolve_as_the_text_says(version, start, moves, seed):
    chance = random.Random(seed)
    room = room_of(version, start, moves, resolve_whole)
    times = chance.choices(list(room.events), k=chance.randint(1, 4))

    check_states(room, [room.state_after[event_id] for event_id in times], chance)


@every_version
@given(start=starts, moves=moves, seed=seeds)
def test_states_that_other_servers_made_up_resolve_as_the_text_says(version, start, moves, seed):
    """A key has some event that was ever sent for it, or none; and a fifth of all is said to be rejected."""
    chance = random.Random(seed)
    room = room_of(version, start, moves, resolve_whole)
    state_events = [each for each in room.events.values() if each.state_key is not None]
    by_key = {}
    for event in state_events:
        by_key.setdefault((event.type, event.state_key), []).append(event.event_id)
    states = []
    for _ in range(chance.randint(2, 4)):
        made_up = {key: chance.choice(ids) for key, ids in by_key.items() if chance.random() < 0.8}
        states.append(made_up | {("m.room.create", ""): room.create.event_id})
    later = [each.event_id for each in state_events if each is not room.create]
    room.rejected = set(chance.sample(later, len(later) // 5))

    check_states(room, states, chance)


@every_version
@given(start=starts, moves=moves, seed=seeds)
def test_a_state_alone_resolves_to_itself(version, start, moves, seed):
    room = room_of(version, start, moves, resolve_whole)
    state = random.Random(seed).choice(list(room.state_after.values()))

    assert resolve_whole(room, [state]) == state
    assert resolve_lazily(room, [state, state, state]) == state


def as_they_arrive(room, chance):
    """Add the events of a room to an empty copy of it, in another order that servers may learn of them in."""
    copy = room.empty_copy()
    waiting = [event for event in room.events.values() if event is not room.create]
    chance.shuffle(waiting)
    while waiting:
        event = next(each for each in waiting if copy.events.keys() >= {*each.prev_events, *each.auth_events})
        waiting.remove(event)
        copy.adopt(event)
        yield copy


@every_version
@given(start=starts, moves=moves, seed=seeds)
def test_the_state_is_the_same_in_whatever_order_and_batches_events_arrive(version, start, moves, seed):
    chance = random.Random(seed)
    room = room_of(version, start, moves, reference.resolve)
    room._resolve = resolve_whole
    batch = 1
    for so_far in as_they_arrive(room, chance):
        batch -= 1
        if not batch:  # the state in between is looked at by a server that takes in this many at once
            so_far.state_before(so_far.heads)
            batch = chance.randint(1, 6)

    assert so_far.rejected == room.rejected
    assert so_far.state_after == room.state_after
    assert so_far.state_before(so_far.heads) == reference.resolve(
        room, [room.state_after[head] for head in room.heads]
    )
