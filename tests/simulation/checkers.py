"""What must be so at the end, whatever has happened: the same on all servers, and as the graph says."""

from itertools import combinations

from homeserver.core.auth.check import authorize, authorize_by_auth_events
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.content.member import membership_of
from homeserver.core.identifiers import server_name_of
from storage.interning import Interning
from storage.state_delta import unpacked_key
from storage.tables.events import EventFlags, Events
from storage.tables.state_groups import StateGroups
from tests.core.state import reference

CREATE = ("m.room.create", "")
_NOT_ACCEPTED = EventFlags.REJECTED | EventFlags.SOFT_FAILED | EventFlags.OUTLIER


async def servers_in_room(node):
    """List the servers that are in the room, as one of them sees it."""
    return {server_name_of(user_id) for user_id in await node.members(is_local=False)}


async def check_same(world):
    """Say in what servers differ that take each other to be in the room; None if they do not.

    Others have parted for good, by the rules: see docs/simulation.md.
    """
    seen = {node.name: await servers_in_room(node) for node in world.nodes}
    for node, other in combinations(world.nodes, 2):
        names = {node.name, other.name}
        if names <= seen[node.name] and names <= seen[other.name]:
            difference = await _difference(world, node, other)
            if difference is not None:
                return difference
    present = {name: names for name, names in seen.items() if name in names}
    world.has_parted = any(names != present.keys() for names in present.values())
    return None


async def _difference(world, *nodes):
    ends, other_ends = [await one.server.extremities(world.room_id) for one in nodes]
    if ends != other_ends:
        return f"extremities of {nodes[0].name}: {sorted(ends)}; of {nodes[1].name}: {sorted(other_ends)}"
    state, other_state = [await one.server.current(world.room_id) for one in nodes]
    if state != other_state:
        return f"state of {nodes[0].name} and {nodes[1].name}: {_diff(state, other_state)}"
    return None


async def check_node(world, node):
    """Compare what one server has stored with what its graph says."""
    stored = StoredRoom(node)
    if await stored.read():
        stored.check_flags()
        stored.check_states()
        stored.check_redactions()
        await stored.check_current_state()


class StoredRoom:
    """A room as its server's storage has it, read afresh; it is what `reference.resolve` takes for a room."""

    def __init__(self, node):
        self.name = node.name
        self._node = node
        self._database = node.plain
        self._resolved = {}
        self.state_after = {}

    async def read(self):
        """Read all of it; False if the server has never been in the room."""
        database = self._database
        rows = await database.fetch(
            "SELECT event_id, coalesce(moved.nid, events.position) FROM events"
            " LEFT JOIN moved_events AS moved ON moved.room_nid = events.room_nid"
            " AND moved.position = events.position"
            # What users were to a room before it came here has no place in its graph: found by no ID.
            " WHERE EXISTS (SELECT FROM event_ids WHERE event_ids.event_id = events.event_id"
            " AND event_ids.position = events.position)"
        )
        self.id_of = {nid: event_id for event_id, nid in rows}
        found = await Events(database).by_ids([event_id for event_id, _ in rows])
        self.stored = {
            one.event.event_id: one for one in sorted(found.values(), key=lambda one: one.position)
        }
        twice = sorted({event_id for event_id, _ in rows if [one for one, _ in rows].count(event_id) > 1})
        assert not twice, f"{self.name} has stored {twice} twice"
        lacking = sorted({event_id for event_id, _ in rows} - self.stored.keys())
        assert not lacking, f"{self.name} does not find {lacking}, though they are stored"
        if not rows or not await database.fetch("SELECT 1 FROM room_tips"):
            return False
        self.events = {event_id: one.event for event_id, one in self.stored.items()}
        self.rejected = {key for key, one in self.stored.items() if one.flags & EventFlags.REJECTED}
        (self.create,) = [one for one in self.events.values() if one.type == "m.room.create"]
        self.room_nid = next(iter(self.stored.values())).room_nid
        groups, interning = StateGroups(database), Interning(database)
        self._groups = {}
        ((tip_group, self.extremities),) = await database.fetch(
            "SELECT state_group, extremities FROM room_tips"
        )
        wanted = (
            {one.state_group for one in self.placed} | {one.group_after for one in self.placed} | {tip_group}
        )
        for group in wanted:
            items = (await groups.chain(self.room_nid, group)).items()
            pairs = {key: unpacked_key(key) for key in items}
            types = await interning.texts("type", {pair[0] for pair in pairs.values()})
            keys = await interning.texts("state_key", {pair[1] for pair in pairs.values()})
            self._groups[group] = {
                (types[pairs[key][0]], keys[pairs[key][1]]): self.id_of[nid] for key, nid in items.items()
            }
        self.tip_state = self._groups[tip_group]
        return True

    @property
    def placed(self):
        return [one for one in self.stored.values() if not one.flags & EventFlags.OUTLIER]

    def check_flags(self):
        for group, state in self._groups.items():
            for key, event_id in state.items():
                event = self.events[event_id]
                assert (event.type, event.state_key) == key, f"{self.name}: {event_id} is the state of {key}"
                assert event_id not in self.rejected, (
                    f"{self.name}: {event_id} is rejected, but in state {group}"
                )
        named = {
            prev for one in self.placed if not one.flags & _NOT_ACCEPTED for prev in one.event.prev_events
        }
        for event_id in self.extremities:
            assert not self.stored[event_id].flags & _NOT_ACCEPTED, f"{self.name}: {event_id} ends the graph"
            assert event_id not in named, f"{self.name}: {event_id} ends the graph, but something follows it"

    def check_states(self):
        """Work out the state before each event from those after its predecessors."""
        for one in self.placed:
            event, state = one.event, self._groups[one.state_group]
            prev = [self.stored[each] for each in event.prev_events if each in self.stored]
            has_all = len(prev) == len(set(event.prev_events)) and all(
                each.position < one.position and not each.flags & EventFlags.OUTLIER for each in prev
            )
            if has_all:
                expected = self._resolve([self.state_after[each.event.event_id] for each in prev])
                assert state == expected, (
                    f"{self.name}: state before {event.event_id}: {_diff(state, expected)}"
                )
                self._check_verdict(one, state)
            after = state
            if event.is_state and event.event_id not in self.rejected:
                after = {**state, (event.type, event.state_key): event.event_id}
            assert self._groups[one.group_after] == after, f"{self.name}: state after {event.event_id}"
            self.state_after[event.event_id] = after

    def _resolve(self, states):
        name = frozenset([frozenset(state.items()) for state in states])
        if len(name) <= 1:
            return dict(states[0]) if states else {}
        if name not in self._resolved:
            self._resolved[name] = reference.resolve(self, states)
        return self._resolved[name]

    def _check_verdict(self, one, state):
        event = one.event
        if event.type == "m.room.create" or (event.type == "m.room.redaction" and one.is_redacted):
            return  # of a redacted redaction of an older version, it is lost what it redacted
        auth_events = [self.events[each] for each in event.auth_events if each in self.events]
        denied = None
        if len(auth_events) < len(event.auth_events):
            denied = "lacks auth events"
        denied = denied or authorize_by_auth_events(
            event, auth_events, create=self.create, rejected=self.rejected
        )
        keys = (
            CREATE,
            *auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content),
        )
        denied = denied or authorize(event, {key: self.events[state[key]] for key in keys if key in state})
        is_rejected = event.event_id in self.rejected
        assert is_rejected == (denied is not None), (
            f"{self.name}: {event.event_id} rejected={is_rejected}: {denied}"
        )

    async def check_current_state(self):
        """Compare the current state with the ends of the graph, and with every table that has it."""
        expected = self._resolve([self.state_after[each] for each in self.extremities])
        assert self.tip_state == expected, f"{self.name}: current state: {_diff(self.tip_state, expected)}"
        current = await self._node.current_state()
        assert current == expected, f"{self.name}: current_state: {_diff(current, expected)}"
        rows = await self._database.fetch(
            "SELECT DISTINCT ON (types.text, keys.text)"
            " types.text, keys.text, coalesce(state_changes.nid, position)"
            " FROM state_changes JOIN interned_types AS types ON types.nid = type_nid"
            " JOIN interned_state_keys AS keys ON keys.nid = state_key_nid"
            " ORDER BY types.text, keys.text, position DESC"
        )
        current = {(event_type, state_key): self.id_of[nid] for event_type, state_key, nid in rows if nid}
        assert current == expected, f"{self.name}: state_changes: {_diff(current, expected)}"
        published = self._node.published_state()
        assert published == expected, f"{self.name}: published changes: {_diff(published, expected)}"
        await self._check_members(expected)
        await self._check_memory(expected)

    async def _check_members(self, state):
        rows = await self._database.fetch(
            "SELECT text, membership, event_id, is_local FROM memberships"
            " JOIN interned_users ON nid = user_nid"
        )
        for user_id, membership, event_id, is_local in rows:
            there = state.get(("m.room.member", user_id))
            now = membership_of(None if there is None else self.events[there])
            assert (membership, event_id) == (now, there or ""), f"{self.name}: membership of {user_id}"
            assert is_local == (server_name_of(user_id) == self.name)
        known = {user_id for user_id, *_ in rows}
        assert known >= {state_key for event_type, state_key in state if event_type == "m.room.member"}
        joined = [is_local for _, membership, _, is_local in rows if membership == "join"]
        counts = await self._database.fetch("SELECT joined, joined_local FROM room_counts")
        assert counts == [(len(joined), sum(joined))], f"{self.name}: room_counts {counts}, {joined}"

    def check_redactions(self):
        """See that what was redacted was so by an event that may, and nothing else was."""
        for event_id, one in self.stored.items():
            by = [
                each.event.event_id
                for each in self.placed
                if each.event.redacts == event_id and not each.flags & (_NOT_ACCEPTED | EventFlags.WITHHELD)
            ]
            assert one.is_redacted or not by, f"{self.name}: {event_id} is not redacted by {by}"
            if one.is_redacted:
                because = self.stored[one.event.redacted_because.event_id]
                known = because.event.event_id in by or because.is_redacted
                assert known, f"{self.name}: {event_id} is redacted by {because.event.event_id}"
                assert not because.flags & (_NOT_ACCEPTED | EventFlags.WITHHELD)
                assert "topic" not in one.event.content

    async def _check_memory(self, state):
        room = await self._node.server.registry.actor(self._node.room_id)
        assert {one.event.event_id for one in room.extremities} == set(self.extremities)
        for key in state:
            if key in room.state._entries:
                event, nid = room.state._entries[key]
                assert event is not None, f"{self.name}: memory has nothing for {key}"
                assert (event.event_id, self.id_of[nid]) == (state[key], state[key]), (
                    f"{self.name}: {key} in memory"
                )
        for key, (event, _) in room.state._entries.items():
            assert event is None or key in state, f"{self.name}: memory still has {key}"


def _diff(found, expected):
    return {
        key: (found.get(key), expected.get(key))
        for key in found.keys() | expected.keys()
        if found.get(key) != expected.get(key)
    }
