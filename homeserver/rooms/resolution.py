"""State resolution for rooms: the rules are in `homeserver.core.state`, what they ask for is read here.

Spec: https://spec.matrix.org/v1.19/server-server-api/#room-state-resolution
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from homeserver.core.auth.selection import StateKey
from homeserver.core.event.pdu import Event
from homeserver.core.state.resolve import resolve_conflicts
from homeserver.core.state.world import (
    Asking,
    Need,
    NeedAuthEvents,
    NeedEvents,
    NeedState,
    NeedUnconflicted,
    World,
)
from homeserver.rooms.state_at import StateAt
from storage.cache import LruCache
from storage.interning import Interning
from storage.journal import Journal
from storage.state_chain import NewGroup, StateChain, differences
from storage.state_delta import ABSENT, packed_key
from storage.tables.events import EventFlags, Events
from storage.tables.state_groups import add_state_group
from storage.write import Write

__all__ = ["Overlay", "Resolution"]

RESOLVED_MAX = 10_000
AUTH_EVENTS_MAX = 500_000
BEHIND_MAX = 50_000
"""Events whose auth events are looked through for one that has found its place."""
CONFLICTS_ON_LOOP_MAX = 30
"""A resolution of more is worked out in a thread, so that other rooms go on meanwhile."""

Resolved = dict[StateKey, int]


@dataclass(frozen=True, slots=True)
class Overlay:
    """An event that is not in storage yet.

    Attributes:
        nid: the number that it goes by for the time being.
        event: the event.
        auth_nids: the numbers of its auth events.
    """

    nid: int
    event: Event
    auth_nids: tuple[int, ...]


class Resolution:
    """Resolves the states at the ends of branches; what it finds becomes a state group.

    Args:
        state_at: reads states.
        events: reads events.
        interning: numbers of what the result has.
        journal: takes new groups.
    """

    def __init__(
        self, *, state_at: StateAt, events: Events, interning: Interning, journal: Journal
    ) -> None:
        self.state_at = state_at
        self._events = events
        self._interning = interning
        self._journal = journal
        self._resolved: LruCache[tuple[int, frozenset[int]], StateChain] = LruCache(RESOLVED_MAX)
        self._auth_events: LruCache[tuple[int, int], tuple[int, ...]] = LruCache(AUTH_EVENTS_MAX)

    async def resolve(self, room_nid: int, create: Event, groups: Iterable[int]) -> StateChain:
        """Resolve states that are in storage; the result is, too.

        Args:
            room_nid: the room.
            create: its `m.room.create`.
            groups: the states.

        Raises:
            Unavailable: a new group was not stored; the same may be tried again.
        """
        distinct = sorted(set(groups))
        if len(distinct) == 1:
            return await self.state_at.groups.chain(room_nid, distinct[0])
        name = (room_nid, frozenset(distinct))
        known = self._resolved.get(name)
        if known is None:
            chains = await self.state_at.groups.chains(room_nid, distinct)
            nearest, changes = await self.plan(room_nid, create, list(chains.values()))
            known = nearest
            if changes:
                known = await self.store(room_nid, nearest, nearest.plan(changes))
            self._resolved.put(name, known)
        return known

    async def plan(
        self, room_nid: int, create: Event, chains: Sequence[StateChain], overlay: Overlay | None = None
    ) -> tuple[StateChain, dict[int, int]]:
        """Resolve states; returns the one that is nearest to the result, and what the result has beside it.

        Args:
            room_nid: the room.
            create: its `m.room.create`.
            chains: the states.
            overlay: an event in them that is not in storage yet.
        """
        packed = differences(chains)
        if not packed:
            return chains[0], {}
        names = await self.state_at.unpacked(packed)
        conflicts = {names[key]: values for key, values in packed.items()}
        world = World(create)
        if overlay is not None:
            world.events[overlay.nid] = overlay.event
            world.auth_events[overlay.nid] = overlay.auth_nids
        driver = _Driver(self.state_at, self._events, self._auth_events, room_nid, chains[0], packed)
        resolved = await _run(
            resolve_conflicts(world, conflicts), world, driver, in_thread=len(packed) > CONFLICTS_ON_LOOP_MAX
        )
        wanted = {key: resolved.get(names[key]) for key in packed}
        for key, nid in resolved.items():
            if key not in conflicts:
                wanted[await self._packed(key)] = nid
        return _nearest(chains, wanted)

    async def is_behind(self, room_nid: int, chain: StateChain, nid: int) -> bool:
        """Say whether an event is in a state, or in the auth chains of what is in it: so it came before that.

        Args:
            room_nid: the room.
            chain: the state.
            nid: number of the event.
        """
        level = set(chain.items().values())
        seen: set[int] = set()
        while nid not in level:
            level = {one for one in level if one > nid} - seen  # auth events have lower numbers
            seen |= level
            if not level or len(seen) > BEHIND_MAX:
                return False
            known = {one: self._auth_events.get((room_nid, one)) for one in level}
            known |= await self._events.auth_nids(
                room_nid, [one for one, auth_nids in known.items() if auth_nids is None]
            )
            for one, auth_nids in known.items():
                self._auth_events.put((room_nid, one), auth_nids or ())
            level = {auth_nid for auth_nids in known.values() for auth_nid in auth_nids or ()}
        return True

    async def _packed(self, key: StateKey) -> int:
        type_nid = await self._interning.nid("type", key[0])
        return packed_key(type_nid, await self._interning.nid("state_key", key[1]))

    async def store(self, room_nid: int, base: StateChain, planned: NewGroup) -> StateChain:
        """Store a group that is not the state after a single event.

        Raises:
            Unavailable: it was not stored; the same may be tried again.
        """
        group = self._journal.next_position()
        write = Write()
        add_state_group(write, room_nid, group, planned)
        await asyncio.shield(self._journal.append(write))
        chain = base.after(group, planned)
        self.state_at.groups.remember(room_nid, chain)
        return chain


def _nearest(
    chains: Sequence[StateChain], wanted: Mapping[int, int | None]
) -> tuple[StateChain, dict[int, int]]:
    nearest, changes = chains[0], dict[int, int]()
    for index, chain in enumerate(chains):
        differing = {
            key: ABSENT if nid is None else nid for key, nid in wanted.items() if chain.get(key) != nid
        }
        if not index or len(differing) < len(changes):
            nearest, changes = chain, differing
    return nearest, changes


class _Driver:
    """Answers what a resolution asks for."""

    def __init__(
        self, state_at: StateAt, events: Events, auth_events: LruCache[tuple[int, int], tuple[int, ...]],
        room_nid: int, chain: StateChain, conflicts: Mapping[int, object],
    ) -> None:  # fmt: skip
        self._state_at = state_at
        self._events = events
        self._auth_events = auth_events
        self._room_nid = room_nid
        self._chain = chain
        self._conflicts = conflicts

    async def answer(self, need: Need, world: World) -> None:
        match need:
            case NeedEvents(nids):
                stored = await self._events.by_nids(self._room_nid, nids)
                for nid, one in stored.items():
                    world.events[nid] = one.event
                    if one.flags & EventFlags.REJECTED:
                        world.rejected.add(nid)
                await self._answer_auth_events([nid for nid in nids if nid not in world.auth_events], world)
            case NeedAuthEvents(nids):
                await self._answer_auth_events(nids, world)
            case NeedState(keys):
                packed = await self._state_at.packed(keys)
                for key in keys:
                    number = packed.get(key)
                    is_unconflicted = number is not None and number not in self._conflicts
                    world.unconflicted[key] = (
                        self._chain.get(number) if is_unconflicted and number is not None else None
                    )
            case NeedUnconflicted():
                state = self._chain.items()
                nids = [nid for key, nid in state.items() if key not in self._conflicts]
                world.unconflicted_nids = sorted(nids, reverse=True)

    async def _answer_auth_events(self, nids: Iterable[int], world: World) -> None:
        missing = []
        for nid in nids:
            known = self._auth_events.get((self._room_nid, nid))
            if known is None:
                missing.append(nid)
            else:
                world.auth_events[nid] = known
        if missing:
            for nid, found in (await self._events.auth_nids(self._room_nid, missing)).items():
                world.auth_events[nid] = found
                self._auth_events.put((self._room_nid, nid), found)


async def _run(asking: Asking[Resolved], world: World, driver: _Driver, *, in_thread: bool) -> Resolved:
    """Run an algorithm; each of its steps in a thread, if they are long."""
    while True:
        step = await asyncio.to_thread(_step, asking) if in_thread else _step(asking)
        if isinstance(step, dict):
            return step
        await driver.answer(step, world)


def _step(asking: Asking[Resolved]) -> Need | Resolved:
    try:
        return next(asking)
    except StopIteration as done:
        resolved: Resolved = done.value
        return resolved
