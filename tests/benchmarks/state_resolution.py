"""What resolving states costs: `python -m tests.benchmarks.state_resolution`, run by `make bench`.

Prints CPU time for forks with two branches of many state events in a room with many members, and for the auth
difference of states far apart. Fails if one is over its goal.
"""

import gc
import random
import sys
import time

from homeserver.core.auth.selection import auth_types_for
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.state.auth_chain import auth_difference, conflicted_subgraph
from homeserver.core.state.conflict import conflicts_of, unconflicted_of
from homeserver.core.state.resolve import resolve
from homeserver.core.state.world import World, run

BASE_MEMBERS = 10_000
BRANCH_EVENTS = 2_000
AUTH_GRAPH_EVENTS = 50_000
ROUNDS = 3
RESOLVE_GOAL_MS = 2_000
DIFFERENCE_GOAL_MS = 1_000

ALICE, BOB = "@alice:a", "@bob:b"


class Room:
    """A room that grows fast: events are numbered, and nothing is hashed, signed or checked."""

    def __init__(self, version):
        self.rules = ROOM_VERSIONS[version]
        self.named_by_id = self.rules.authorization.room_create_event_id_as_room_id
        self.room_id = "!1" if self.named_by_id else "!room:a"
        self.chance = random.Random(version)
        self.world = None
        self.count = 0
        self.users = {BOB: 50} if self.named_by_id else {ALICE: 100, BOB: 50}

    def add(self, state, sender, event_type, content, state_key):
        """Add a state event to a branch, whose state is changed."""
        self.count += 1
        selected = auth_types_for(self.rules, event_type, sender, state_key, content)
        auth_events = [state[key] for key in selected if key in state]
        ids = [f"${nid}" for nid in auth_events]
        pdu = {
            "type": event_type,
            "sender": sender,
            "state_key": state_key,
            "content": content,
            "depth": self.count,
            "origin_server_ts": 1_000_000 + self.chance.randrange(1_000),
            "prev_events": [],
            "auth_events": [[each, {}] for each in ids] if self.rules.event_references_are_pairs else ids,
        }
        if not (self.named_by_id and event_type == "m.room.create"):
            pdu["room_id"] = self.room_id
        event = Event(pdu, b"", self.rules, f"${self.count}")
        if self.world is None:
            self.world = World(event)
        self.world.events[self.count] = event
        self.world.auth_events[self.count] = tuple(auth_events)
        state[event_type, state_key] = self.count

    def member(self, state, sender, target, membership):
        self.add(state, sender, "m.room.member", {"membership": membership}, target)

    def levels(self, state, sender, changed_user):
        users = {**self.users, changed_user: self.chance.randrange(50)}
        self.add(state, sender, "m.room.power_levels", {"users": users}, "")

    def begin(self, members):
        """Create the room with members in it; returns its state."""
        state = {}
        self.add(state, ALICE, "m.room.create", {"creator": ALICE}, "")
        self.member(state, ALICE, ALICE, "join")
        self.add(state, ALICE, "m.room.power_levels", {"users": self.users}, "")
        self.add(state, ALICE, "m.room.join_rules", {"join_rule": "public"}, "")
        self.member(state, BOB, BOB, "join")
        for index in range(members):
            user_id = f"@user{index}:c"
            self.member(state, user_id, user_id, "join")
        return state


def joins_and_leaves(room, state):
    """Members come and go."""
    for _ in range(BRANCH_EVENTS):
        user_id = f"@user{room.chance.randrange(2 * BASE_MEMBERS)}:c"
        room.member(state, user_id, user_id, room.chance.choice(("join", "leave")))


def power_levels(room, state):
    """Alice and Bob change the levels of somebody, each time based on the last ones."""
    for index in range(BRANCH_EVENTS):
        room.levels(state, (ALICE, BOB)[index % 2], f"@user{index}:c")


def mixture(room, state):
    """Kicks and bans, changes of levels, topics and other state, members who come and go."""
    for index in range(BRANCH_EVENTS):
        user_id = f"@user{room.chance.randrange(2 * BASE_MEMBERS)}:c"
        by = room.chance.choice((ALICE, BOB))
        match index % 10:
            case 0 | 1 | 2:
                room.member(state, by, user_id, room.chance.choice(("leave", "ban")))
            case 3:
                room.levels(state, by, user_id)
            case 4:
                room.add(state, by, "m.room.topic", {"topic": "t"}, "")
            case 5 | 6:
                room.add(state, by, "org.example.widget", {}, str(index))
            case _:
                room.member(state, user_id, user_id, "join")


def cpu_ms(work):
    """Measure the CPU time of some work: the best of a few rounds, since others use this machine."""
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        begun = time.process_time()
        work()
        best = min(best, time.process_time() - begun)
    return 1_000 * best


def resolving(version, grow):
    """Make a fork; returns its states with the world."""
    room = Room(version)
    base = room.begin(BASE_MEMBERS)
    states = [dict(base), dict(base)]
    for state in states:
        grow(room, state)
    return room.world, states


def full_conflicted_set(world, states):
    world.unconflicted_nids = sorted(unconflicted_of(states).values(), reverse=True)
    conflicts = conflicts_of(states)
    sets = [{nid for nid in nids if nid} for nids in zip(*conflicts.values(), strict=True)]
    return set.union(*sets) | run(auth_difference(world, sets))


def resolve_rows():
    for version in ("1", "2", "12"):
        for grow in (joins_and_leaves, power_levels, mixture):
            world, states = resolving(version, grow)
            tried = len(full_conflicted_set(world, states))

            def work(world=world, states=states):
                world.unconflicted = {}
                run(resolve(world, states))

            yield f"resolve, version {version}, {grow.__name__}", tried, cpu_ms(work), RESOLVE_GOAL_MS


def difference_rows():
    """Two branches in which each event allows the next, as changes of levels do."""
    room = Room("12")
    base = room.begin(10)
    states = [dict(base), dict(base)]
    while room.count < AUTH_GRAPH_EVENTS:
        for state in states:
            room.levels(state, ALICE, BOB)
            user_id = f"@user{room.count % 1_000}:c"
            room.member(state, user_id, user_id, "join")
    sets = [set(state.values()) - set(base.values()) for state in states]
    room.world.unconflicted_nids = sorted(set(base.values()), reverse=True)
    yield (
        f"auth difference in {room.count:,} events",
        len(run(auth_difference(room.world, sets))),
        cpu_ms(lambda: run(auth_difference(room.world, sets))),
        DIFFERENCE_GOAL_MS,
    )
    conflicted = set.union(*sets) | {base["m.room.power_levels", ""]}
    yield (
        f"conflicted subgraph in {room.count:,} events",
        len(run(conflicted_subgraph(room.world, conflicted))),
        cpu_ms(lambda: run(conflicted_subgraph(room.world, conflicted))),
        DIFFERENCE_GOAL_MS,
    )


def main():
    too_slow = False
    print(  # noqa: T201 - the table is what it is run for
        "| what | size | CPU ms | goal |\n|---|---|---|---|"
    )
    for rows in (resolve_rows(), difference_rows()):
        for what, size, ms, goal in rows:
            line = f"| {what.replace('_', ' ')} | {size:,} | {ms:,.0f} | ≤ {goal:,} |"
            print(line, flush=True)  # noqa: T201 - the same
            too_slow = too_slow or ms > goal
    return too_slow


if __name__ == "__main__":
    sys.exit(main())
