"""State resolution again, as slowly and as close to the letter of the specification as can be.

Spec: https://spec.matrix.org/v1.19/rooms/v1/#state-resolution,
https://spec.matrix.org/v1.19/rooms/v2/#state-resolution and
https://spec.matrix.org/v1.19/rooms/v12/#state-resolution, with the readings of docs/decisions/0005.

It shares only the authorization rules with `homeserver.core.state`: events are named by their IDs, each chain
is walked from the beginning every time, and the definitions have the words of the text. A room is whatever
has `create` (an event), `events` (by ID) and `rejected` (a set of IDs).
"""

import math
from hashlib import sha1

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import auth_types_for

CREATE = ("m.room.create", "")
POWER_LEVELS = ("m.room.power_levels", "")


def resolve(room, states):
    """Resolve states: dicts from type and state key to an event ID."""
    algorithm = {"1": version_1, "2": version_2, "2.1": version_2_1}
    return algorithm[room.create.rules.state_resolution.value](room, states)


def key_of(event):
    return event.type, event.state_key


def is_allowed(room, event, state):
    """Ask the authorization rules about an event in a room state."""
    found = {CREATE: room.create}
    for key in auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content):
        if key in state:
            found[key] = room.events[state[key]]
    return authorize(event, found) is None


# Version 1


def version_1(room, states):
    """Resolve by room version 1."""
    candidates = {}
    for state in states:
        for key, event_id in state.items():
            candidates.setdefault(key, set()).add(event_id)
    result = {key: next(iter(ids)) for key, ids in candidates.items() if len(ids) == 1}
    conflicts = {key: ids for key, ids in candidates.items() if len(ids) > 1}
    for event_type in ("m.room.power_levels", "m.room.join_rules", "m.room.member"):
        before = dict(result)
        for key, ids in conflicts.items():
            if key[0] == event_type:
                result[key] = last_in_turn(room, ids, before)
    before = dict(result)
    for key, ids in conflicts.items():
        if key not in before:
            result[key] = deepest_allowed(room, ids, before)
    return result


def sha1_of(event_id):
    return sha1(event_id.encode()).hexdigest()


def last_in_turn(room, ids, before):
    """Go from the shallowest event to the deepest, as far as each is allowed after the one before."""
    by_descending_sha1 = sorted(ids, key=sha1_of, reverse=True)
    ordered = sorted(by_descending_sha1, key=lambda event_id: room.events[event_id].depth)
    state = dict(before)
    key = key_of(room.events[ordered[0]])
    state[key] = ordered[0]
    for event_id in ordered[1:]:
        if not is_allowed(room, room.events[event_id], state):
            break
        state[key] = event_id
    return state[key]


def deepest_allowed(room, ids, before):
    """Pick the event with the highest depth and lowest SHA-1 that is allowed."""
    ordered = sorted(sorted(ids, key=sha1_of), key=lambda event_id: -room.events[event_id].depth)
    for event_id in ordered:
        if is_allowed(room, room.events[event_id], before):
            return event_id
    return ordered[-1]  # reading 3


# Definitions of versions 2 and 2.1


def split(states):
    """Divide into the unconflicted state map and the conflicted state set."""
    unconflicted, conflicted = {}, set()
    for key in {key for state in states for key in state}:
        values = {state.get(key) for state in states}
        if len(values) == 1:
            unconflicted[key] = values.pop()
        else:
            conflicted |= values - {None}
    return unconflicted, conflicted


def auth_chain(room, event_id):
    """All of an event's auth events, all of their auth events, and so on."""
    chain, waiting = set(), list(room.events[event_id].auth_events)
    while waiting:
        here = waiting.pop()
        if here in room.events and here not in chain:
            chain.add(here)
            waiting.extend(room.events[here].auth_events)
    return chain


def auth_difference(room, states):
    """What is in the full auth chain of one state but not of every state."""
    chains = []
    for state in states:
        chain = set(state.values())  # reading 1
        for event_id in state.values():
            chain |= auth_chain(room, event_id)
        chains.append(chain)
    return set.union(*chains) - set.intersection(*chains)


def conflicted_subgraph(room, conflicted):
    """Everything on a path from one conflicted event to another."""
    found = set()
    for start in conflicted:
        below = auth_chain(room, start)
        for end in conflicted & below:
            between = {here for here in below if end in auth_chain(room, here)}
            found |= {start, end} | between
    return found


def is_power_event(event):
    if key_of(event) in {POWER_LEVELS, ("m.room.join_rules", "")}:  # reading 4
        return True
    is_removal = event.type == "m.room.member" and event.content.get("membership") in {"leave", "ban"}
    return is_removal and event.sender != event.state_key


def power_levels_of(room, event_id):
    """Find the power levels among the auth events of an event."""
    for auth_event in room.events[event_id].auth_events:
        if auth_event in room.events and key_of(room.events[auth_event]) == POWER_LEVELS:
            return auth_event
    return None


def power_of_sender(room, event_id):
    """Find the power level of an event's sender, when looking at its auth events."""
    sender, create = room.events[event_id].sender, room.create
    authorization = create.rules.authorization
    creators = [create.sender if authorization.use_room_create_sender else create.content.get("creator")]
    if authorization.explicitly_privilege_room_creators:
        creators += create.content.get("additional_creators", [])
        if sender in creators:
            return math.inf
    levels = power_levels_of(room, event_id)
    if levels is None:
        return 100 if sender in creators else 0
    content = room.events[levels].content
    return int(content.get("users", {}).get(sender, content.get("users_default", 0)))


def auth_chain_within(room, event_id, ids):
    """The part of an auth chain that is reached by way of some events only."""
    found, waiting = set(), [event_id]
    while waiting:
        among = set(room.events[waiting.pop()].auth_events) & ids - found
        found |= among
        waiting.extend(among)
    return found


def reverse_topological_power_ordering(room, ids):
    """Kahn's algorithm: of all that could come next, the smallest."""
    waiting, ordered = set(ids), []
    while waiting:
        candidates = [
            each for each in waiting if not auth_chain_within(room, each, ids) & waiting
        ]  # reading 2
        smallest = min(
            candidates,
            key=lambda each: (-power_of_sender(room, each), room.events[each].origin_server_ts, each),
        )
        ordered.append(smallest)
        waiting.remove(smallest)
    return ordered


def power_levels_behind(room, event_id):
    """List the power levels among the auth events, those among the auth events of these, and so on."""
    found = []
    here = power_levels_of(room, event_id)
    while here is not None:
        found.append(here)
        here = power_levels_of(room, here)
    return found


def mainline_ordering(room, ids, power_levels):
    mainline = [] if power_levels is None else [power_levels, *power_levels_behind(room, power_levels)]

    def position(event_id):
        for each in power_levels_behind(room, event_id):
            if each in mainline:
                return mainline.index(each)
        return math.inf

    return sorted(ids, key=lambda each: (-position(each), room.events[each].origin_server_ts, each))


def iterative_auth_checks(room, state, ids):
    state = dict(state)
    for event_id in ids:
        event = room.events[event_id]
        known = {}
        for auth_event in event.auth_events:
            if auth_event in room.events and auth_event not in room.rejected:
                known[key_of(room.events[auth_event])] = auth_event
        if is_allowed(room, event, known | state):
            state[key_of(event)] = event_id
    return state


# Versions 2 and 2.1


def version_2(room, states):
    """Resolve by room versions 2 to 11."""
    unconflicted, conflicted = split(states)
    full_conflicted_set = conflicted | auth_difference(room, states)
    return resolve_set(room, full_conflicted_set, unconflicted, start=unconflicted)


def version_2_1(room, states):
    """Resolve by room version 12."""
    unconflicted, conflicted = split(states)
    full_conflicted_set = conflicted | auth_difference(room, states) | conflicted_subgraph(room, conflicted)
    return resolve_set(room, full_conflicted_set, unconflicted, start={})


def resolve_set(room, full_conflicted_set, unconflicted, start):
    """Take the five steps of the algorithm."""
    # 1.
    power_events = {each for each in full_conflicted_set if is_power_event(room.events[each])}
    enlarged = set(power_events)
    for each in power_events:
        enlarged |= auth_chain_within(room, each, full_conflicted_set)  # reading 2
    # 2.
    partially_resolved = iterative_auth_checks(
        room, start, reverse_topological_power_ordering(room, enlarged)
    )
    # 3.
    remaining = mainline_ordering(room, full_conflicted_set - enlarged, partially_resolved.get(POWER_LEVELS))
    # 4.
    resolved = iterative_auth_checks(room, partially_resolved, remaining)
    # 5.
    return resolved | unconflicted
