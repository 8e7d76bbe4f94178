"""The state of a room at an event, and what allows events, as other servers ask for them.

Rooms have up to hundreds of thousands of members: what is told is put together from bytes, a part at a time,
and not for many servers at once.

Spec: https://spec.matrix.org/v1.19/server-server-api/#retrieving-events
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from homeserver.core.errors import NotFound
from homeserver.rooms.state_at import StateAt
from storage.pool import Database
from storage.state_delta import unpacked_key
from storage.tables.events import EventFlags, Events, StoredEvent
from storage.tables.pdus import chain_of, ids_of, json_of

__all__ = ["NumberedState", "ServerStates"]

EVENTS_PER_READ_MAX = 2_000
CHAIN_MAX = 400_000
BYTES_MAX = 536_870_912
AT_ONCE_MAX = 2


@dataclass(frozen=True, slots=True)
class NumberedState:
    """A state, as storage numbers its events.

    Attributes:
        state: the state.
        auth_chain: what allows it.
    """

    state: Collection[int]
    auth_chain: Collection[int]


class ServerStates:
    """Reads states for other servers.

    Args:
        database: where they are.
        events: finds events.
        state_at: knows the state before events.
    """

    def __init__(self, *, database: Database, events: Events, state_at: StateAt) -> None:
        self._database = database
        self._events = events
        self._state_at = state_at
        self.turns = asyncio.Semaphore(AT_ONCE_MAX)

    async def event(self, room_nid: int, event_id: str) -> StoredEvent:
        """Find an event of a room.

        Raises:
            NotFound: there is none, or it was rejected.
        """
        stored = await self._events.by_id(event_id)
        if stored is None or stored.room_nid != room_nid or stored.flags & EventFlags.REJECTED:
            raise NotFound("There is no such event in the room.")
        return stored

    async def before(self, room_nid: int, event_id: str) -> NumberedState:
        """Tell the state before an event.

        Raises:
            NotFound: there is no such event, or nobody here knows the state there.
        """
        stored = await self.event(room_nid, event_id)
        if stored.state_group is None:
            raise NotFound("This server does not know the state at that event.")
        chain = await self._state_at.groups.chain(room_nid, stored.state_group)
        state = set(chain.items().values())
        return NumberedState(state, await chain_of(self._database, room_nid, state, limit=CHAIN_MAX))

    async def entered(
        self, room_nid: int, stored: StoredEvent, *, without_type: int | None
    ) -> NumberedState:
        """Tell the state before an event by which a server came in, and what allows that and the event.

        Args:
            room_nid: the room.
            stored: the event, which has its place.
            without_type: number of the event type that is left out of the state; then the auth chain lacks
                what the state has.
        """
        assert stored.state_group is not None, "an accepted event has its place"
        chain = await self._state_at.groups.chain(room_nid, stored.state_group)
        state = {nid for key, nid in chain.items().items() if unpacked_key(key)[0] != without_type}
        named = set((await self._events.nids_of(room_nid, stored.event.auth_events)).values())
        behind = named.union(
            await chain_of(self._database, room_nid, state | named, limit=CHAIN_MAX)
        )
        return NumberedState(state, behind if without_type is None else behind - state)

    async def auth_chain(self, room_nid: int, event_id: str) -> Collection[int]:
        """Number all that is in the auth chain of an event.

        In rooms that are named after their create event no event names it, but none goes without it.

        Raises:
            NotFound: there is no such event.
        """
        stored = await self.event(room_nid, event_id)
        named = await self._events.nids_of(room_nid, stored.event.auth_events)
        nids = {*named.values(), *await chain_of(self._database, room_nid, named.values(), limit=CHAIN_MAX)}
        if stored.event.rules.room_id_is_create_event_id and stored.event.room_id[1:] != event_id[1:]:
            nids.update((await self._events.nids_of(room_nid, ["$" + stored.event.room_id[1:]])).values())
        return nids

    async def ids(self, room_nid: int, nids: Collection[int]) -> list[str]:
        """Name state events."""
        return await ids_of(self._database, room_nid, nids)

    async def pdus(self, room_nid: int, nids: Collection[int]) -> list[bytes]:
        """Read state events, encoded.

        Raises:
            NotFound: it is more than this server can hand out.
        """
        asked, found, size_bytes = sorted(nids), [], 0
        for start in range(0, len(asked), EVENTS_PER_READ_MAX):
            part = await json_of(self._database, room_nid, asked[start : start + EVENTS_PER_READ_MAX])
            size_bytes += sum(map(len, part))
            if size_bytes > BYTES_MAX:
                raise NotFound("The state is larger than this server can hand out: ask for its event IDs.")
            found += part
        return found
