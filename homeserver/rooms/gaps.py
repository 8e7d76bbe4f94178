"""Gaps in the graph: predecessors that nobody has sent us; the state after them bridges the gap.

Spec: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
"""

import asyncio
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

from homeserver.core.errors import Unavailable
from homeserver.core.event.pdu import Event
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.outliers import OUTLIERS_MAX, Outliers, RoomContext
from homeserver.rooms.ports import RemoteServers
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.resolution import Resolution
from storage.cache import LruCache
from storage.state_chain import StateChain
from storage.state_delta import ABSENT, packed_key
from storage.tables.events import EventFlags, Events, StoredEvent

__all__ = ["Gaps", "context_of", "in_time"]

Answer = TypeVar("Answer")

BRIDGED_MAX = 10_000
REQUESTS_AT_ONCE_MAX = 10
ANSWER_TIMEOUT_S = 120.0
"""The state of a large room takes its server a while."""


async def in_time(asking: Awaitable[Answer]) -> Answer:
    """Wait for what another server answers, but not for ever.

    Raises:
        Unavailable: it does not answer.
    """
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            return await asking
    except TimeoutError as error:
        raise Unavailable("The other server does not answer.") from error


def context_of(room: RoomActor) -> RoomContext:
    """Tell what outliers of a room are checked against."""
    return RoomContext(room.room_id, room.room_nid, room.rules, room.create)


class Gaps:
    """Finds the state after events that have no place here.

    Args:
        remote: other servers.
        outliers: takes in what they tell.
        events: what is stored.
        resolution: stores states.
        registry: the rooms.
    """

    def __init__(
        self, *, remote: RemoteServers, outliers: Outliers, events: Events, resolution: Resolution,
        registry: RoomRegistry,
    ) -> None:  # fmt: skip
        self._remote = remote
        self._outliers = outliers
        self._events = events
        self._resolution = resolution
        self._registry = registry
        self._interning = registry.interning
        self._bridged: LruCache[tuple[int, str], int] = LruCache(BRIDGED_MAX)

    async def state_after(self, server: str, room: RoomActor, event_id: str) -> int:
        """Ask a server for the state after an event that has no place here; returns its group.

        Raises:
            Unavailable: the server does not tell, or what it tells is no state.
        """
        known = self._bridged.get((room.room_nid, event_id))
        if known is not None:
            return known
        state_ids, auth_ids = await in_time(self._remote.state_ids(server, room.room_id, event_id))
        await self.fetch(server, context_of(room), {event_id, *state_ids, *auth_ids})
        stored = await self._events.by_ids({event_id, *state_ids})
        after = stored.get(event_id)
        if after is None:
            raise Unavailable(f"{server} does not have the event {event_id} that it names.")
        state = await self._state_of(room, [*[stored[one] for one in state_ids if one in stored], after])
        chain = await self.group_of(room, state)
        self._bridged.put((room.room_nid, event_id), chain.group)
        return chain.group

    async def state_before(self, server: str, room: RoomActor, event_id: str) -> StateChain:
        """Ask a server for the state before an event.

        Raises:
            Unavailable: the server does not tell, or what it tells is no state.
        """
        state_ids, auth_ids = await in_time(self._remote.state_ids(server, room.room_id, event_id))
        await self.fetch(server, context_of(room), {*state_ids, *auth_ids})
        stored = await self._events.by_ids(state_ids)
        state = await self._state_of(room, list(stored.values()))
        return await self.group_of(room, state)

    async def fetch(self, server: str, room: RoomContext, event_ids: Iterable[str]) -> None:
        """Ask a server for those of some events that are not stored, and take them in as outliers.

        Raises:
            Unavailable: there are too many of them, or the server did not tell all of them. Those that it
                told are stored, so it need not tell them again.
        """
        asked = list(event_ids)
        known = await self._events.by_ids(asked)
        missing = [event_id for event_id in asked if event_id not in known]
        if len(missing) > OUTLIERS_MAX:
            raise Unavailable(f"{server} tells of a state of more than {OUTLIERS_MAX} events.")
        limit = asyncio.Semaphore(REQUESTS_AT_ONCE_MAX)

        async def fetch_one(event_id: str) -> Any:
            async with limit:
                with suppress(Unavailable):
                    return await in_time(self._remote.event(server, event_id))
            return None

        found = await asyncio.gather(*[fetch_one(event_id) for event_id in missing])
        told = [pdu for pdu in found if pdu is not None]
        await self._outliers.store(room, told)
        if len(told) < len(missing):  # a state that lacks some of its events would be another state
            raise Unavailable(f"{server} does not tell all the events that it names.")

    async def fetch_auth_events(self, server: str, room: RoomActor, event: Event) -> None:
        """Ask a server for the auth chain of an event, and take it in."""
        with suppress(Unavailable):
            pdus = await in_time(self._remote.event_auth(server, room.room_id, event.event_id))
            await self._outliers.store(context_of(room), pdus)

    async def group_of(self, room: RoomActor, state: dict[int, int]) -> StateChain:
        """Store a state; as its difference to the room's current one, if that is less.

        Raises:
            Unavailable: it was not stored; the same may be tried again.
        """
        room_nid, base = room.room_nid, room.chain
        # What it stands on must be in storage: a flush that is still to come may fail.
        await self._registry.settled(room)
        if room.extremities and not self._registry.is_in_use(room):
            raise Unavailable("The room was not stored just now. Try again.")
        there = base.items()
        changes = {key: nid for key, nid in state.items() if there.get(key) != nid}
        changes |= {key: ABSENT for key in there if key not in state}
        if not changes:
            return base
        if len(changes) > len(state) // 2:
            base, changes = StateChain(), state
        return await self._resolution.store(room_nid, base, base.plan(changes))

    async def _state_of(self, room: RoomActor, state: list[StoredEvent]) -> dict[int, int]:
        usable = [
            one
            for one in state
            if one.event.is_state and one.room_nid == room.room_nid and not one.flags & EventFlags.REJECTED
        ]
        return await self.packed_state(room.room_nid, [one.event for one in usable])

    async def packed_state(self, room_nid: int, events: list[Event]) -> dict[int, int]:
        """Number the events of a state, by type and state key; of two for one key the later one counts."""
        nids = await self._events.nids_of(room_nid, [event.event_id for event in events])
        types = await self._interning.nids("type", {event.type for event in events})
        keys = await self._interning.nids("state_key", {event.state_key or "" for event in events})
        return {
            packed_key(types[event.type], keys[event.state_key or ""]): nids[event.event_id]
            for event in events
        }
