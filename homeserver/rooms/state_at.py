"""The state before and after events, by its groups: looked up by key, compared, and told as events."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from homeserver.core.auth.selection import StateKey
from homeserver.core.event.pdu import Event
from homeserver.rooms.actor import StateEntry
from storage.interning import Interning
from storage.state_chain import StateChain, differences
from storage.state_delta import packed_key, unpacked_key
from storage.tables.events import EventNumbers, Events
from storage.tables.state_groups import StateGroups

__all__ = ["MEMBER", "StateAt"]

MEMBER = "m.room.member"
_STEPS_AT_ONCE_MAX = 1_000
EVENTS_PER_READ_MAX = 1_000


class StateAt:
    """Reads states.

    Args:
        groups: the states.
        events: the events in them.
        interning: numbers of types, state keys and users.
    """

    def __init__(self, *, groups: StateGroups, events: Events, interning: Interning) -> None:
        self.groups = groups
        self._events = events
        self._interning = interning

    async def packed(self, keys: Iterable[StateKey]) -> dict[StateKey, int]:
        """Number those types and state keys that any state may have."""
        asked = list(keys)
        types = await self._interning.existing("type", {event_type for event_type, _ in asked})
        state_keys = await self._interning.existing("state_key", {state_key for _, state_key in asked})
        return {
            (event_type, state_key): packed_key(types[event_type], state_keys[state_key])
            for event_type, state_key in asked
            if event_type in types and state_key in state_keys
        }

    async def unpacked(self, packed: Iterable[int]) -> dict[int, StateKey]:
        """Name types and state keys that are numbered."""
        pairs = {key: unpacked_key(key) for key in packed}
        types = await self._interning.texts("type", {type_nid for type_nid, _ in pairs.values()})
        keys = await self._interning.texts("state_key", {key_nid for _, key_nid in pairs.values()})
        return {key: (types[type_nid], keys[key_nid]) for key, (type_nid, key_nid) in pairs.items()}

    async def nids(self, chain: StateChain, keys: Iterable[StateKey]) -> dict[StateKey, int]:
        """Look up some keys in a state; those that it has."""
        found = {key: chain.get(packed) for key, packed in (await self.packed(keys)).items()}
        return {key: nid for key, nid in found.items() if nid is not None}

    async def select(
        self, room_nid: int, chain: StateChain, keys: Iterable[StateKey]
    ) -> dict[StateKey, Event]:
        """Look up the events of some keys in a state."""
        nids = await self.nids(chain, keys)
        stored = await self._events.by_nids(room_nid, nids.values())
        return {key: stored[nid].event for key, nid in nids.items()}

    async def entries(
        self, room_nid: int, before: StateChain, after: StateChain, known: Mapping[int, Event]
    ) -> list[StateEntry]:
        """List what one state has that another has not.

        Args:
            room_nid: the room.
            before: the state that was.
            after: the state that is.
            known: events by number that are not in storage yet.
        """
        if before.group == after.group:
            return []
        changed = {key: values[1] for key, values in differences((before, after)).items()}
        names = await self.unpacked(changed)
        members = await self._interning.nids(
            "user", {state_key for event_type, state_key in names.values() if event_type == MEMBER}
        )
        nids = [nid for nid in changed.values() if nid is not None and nid not in known]
        stored = await self._events.by_nids(room_nid, nids)
        entries = []
        for number, (packed, nid) in enumerate(changed.items()):
            if number % _STEPS_AT_ONCE_MAX == _STEPS_AT_ONCE_MAX - 1:
                await asyncio.sleep(0)  # a room that comes here may have very many
            name = names[packed]
            type_nid, state_key_nid = unpacked_key(packed)
            member_nid = members[name[1]] if name[0] == MEMBER else None
            event = None if nid is None else known[nid] if nid in known else stored[nid].event
            numbers = EventNumbers(type_nid, 0, state_key_nid, member_nid)
            entries.append(StateEntry(name, numbers, event, nid or 0))
        return entries

    async def whole(
        self, room_nid: int, group: int, *, members: Collection[str] | None = None
    ) -> list[Event]:
        """Read all events of a state; only the member events of some users, if these are given."""
        nids = (await self.groups.chain(room_nid, group)).items()
        if members is not None:
            types = await self._interning.existing("type", (MEMBER,))
            keys = await self._interning.existing("state_key", members)
            wanted = {packed_key(types[MEMBER], key) for key in keys.values()} if types else set()
            nids = {
                key: nid
                for key, nid in nids.items()
                if unpacked_key(key)[0] != types.get(MEMBER) or key in wanted
            }
        asked, found = list(nids.values()), list[Event]()
        for start in range(0, len(asked), EVENTS_PER_READ_MAX):
            stored = await self._events.by_nids(room_nid, asked[start : start + EVENTS_PER_READ_MAX])
            found += [one.event for one in stored.values()]
        return found

    async def values_at(
        self, room_nid: int, groups: Sequence[int], keys: Sequence[StateKey]
    ) -> dict[int, dict[StateKey, Event]]:
        """Look up some keys in several states at once: what each of them has, by group."""
        packed = await self.packed(keys)
        found: dict[int, dict[StateKey, int]] = {}
        for group in dict.fromkeys(groups):
            chain = await self.groups.chain(room_nid, group)
            values = {key: chain.get(number) for key, number in packed.items()}
            found[group] = {key: nid for key, nid in values.items() if nid is not None}
        stored = await self._events.by_nids(
            room_nid, {nid for values in found.values() for nid in values.values()}
        )
        return {
            group: {key: stored[nid].event for key, nid in values.items()} for group, values in found.items()
        }
