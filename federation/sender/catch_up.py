"""Reads what a server lacks of a room: the events that are for us to send, while the server was in the room.

Spec: https://spec.matrix.org/v1.19/server-server-api/#pdus
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from federation.sender.queue import Behind, Queue, QueuedEvent
from homeserver.core.content.member import INVITE, JOIN, membership_of
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from homeserver.rooms.room_servers import RoomServers, ServersOfRoom
from storage.pool import Database
from storage.tables.events import StoredEvent
from storage.tables.room_servers import members_of_server
from storage.tables.sending import Unsent
from storage.tables.state import State

__all__ = ["CatchUp", "is_about"]

EVENTS_MAX = 2_000
"""Of one room: a server that lacks more is sent the last of them, and can ask for what is before."""
EMPTY_ROOMS_MAX = 50
"""Looked at for one transaction: what a server is noted to lack of a room may turn out to be nothing."""
_MEMBER = "m.room.member"


@dataclass(frozen=True, slots=True)
class _Stay:
    """How many users a server had in a room after each change of that, from a position on."""

    positions: Sequence[int]
    counts: Sequence[int]  # the first is that from before the first position

    def includes(self, position: int) -> bool:
        """Whether the server was in the room before or after what has a position."""
        after = bisect_right(self.positions, position)
        was_there = self.counts[after] > 0
        if after and self.positions[after - 1] == position:
            was_there = was_there or self.counts[after - 1] > 0
        return was_there


class CatchUp:
    """Reads what servers lack.

    Args:
        database: where the rooms are.
        room_servers: who is in them.
        state: who was in them.
        server_name: ours.
    """

    def __init__(
        self, *, database: Database, room_servers: RoomServers, state: State, server_name: str
    ) -> None:
        self._database = database
        self._room_servers = room_servers
        self._state = state
        self._unsent = Unsent(database, server_name)

    async def next_events(self, queue: Queue, limit: int) -> list[QueuedEvent]:
        """Read the next events that a server lacks; takes note of the rooms where it lacks none.

        Raises:
            Unavailable: the database does not answer.
        """
        for _ in range(EMPTY_ROOMS_MAX):
            if not queue.behind or limit <= 0:
                return []
            room_id, behind = next(iter(queue.behind.items()))
            found = await self._page(queue, room_id, behind, limit)
            if found:
                return found
        return []

    async def _page(self, queue: Queue, room_id: str, behind: Behind, limit: int) -> list[QueuedEvent]:
        if not behind.is_trimmed:
            start = await self._unsent.start_of_last(room_id, behind.start, EVENTS_MAX)
            behind.start = behind.start if start is None else start
            behind.is_trimmed = True
        told = behind.told
        stored = await self._unsent.page(room_id, behind.start, limit)
        heard = await self._heard(queue.name, room_id, stored)
        if behind.told != told or queue.behind.get(room_id) is not behind:
            pass  # what was read may not be all
        elif len(stored) < limit:
            behind.latest = heard[-1].position if heard else 0
        if heard:
            return heard
        if len(stored) == limit:
            behind.start = stored[-1].position + 1
        elif behind.latest == 0:
            queue.caught_up(room_id)
        return []

    async def _heard(self, server: str, room_id: str, stored: Sequence[StoredEvent]) -> list[QueuedEvent]:
        """Leave out what was sent while the server was not in the room, and what came from there."""
        if not stored:
            return []
        first, room_nid = stored[0].position, stored[0].room_nid
        stay = await self._stay(server, room_nid, await self._room_servers.read(room_id), first)
        return [
            QueuedEvent(one.position, room_id, one.event)
            for one in stored
            if server_name_of(one.event.sender) != server
            and (stay is None or stay.includes(one.position) or is_about(server, one.event))
        ]

    async def _stay(self, server: str, room_nid: int, servers: ServersOfRoom, first: int) -> _Stay | None:
        """Find out when the server was in the room from a position on; None: all of the time."""
        known = servers.servers.get(server)
        if known is None:
            return _Stay((), (0,))
        if known.position < first:
            return None if known.joined else _Stay((), (0,))
        members = await members_of_server(self._database, room_nid, server)
        moved = [user_id for user_id, _, position in members if position >= first]
        before = await self._state.at_of_keys(room_nid, first - 1, [(_MEMBER, one) for one in moved])
        joined = {one.event.state_key: membership_of(one.event) == JOIN for one in before}
        count = sum(membership == JOIN for _, membership, position in members if position < first)
        count += sum(joined.values())
        positions, counts = [], [count]
        changes: list[tuple[int, str, bool]] = []
        for user_id in moved:
            history = await self._state.history_of(room_nid, _MEMBER, user_id)
            changes += [
                (one.position, user_id, membership_of(one.event) == JOIN)
                for one in history
                if one.position >= first
            ]
        for position, user_id, is_joined in sorted(changes):
            count += int(is_joined) - int(joined.get(user_id, False))
            joined[user_id] = is_joined
            positions.append(position)
            counts.append(count)
        return _Stay(positions, counts)


def is_about(server: str, event: Event) -> bool:
    """Whether an event takes out a user of a server, which is told therefore; invites are sent otherwise."""
    return (
        event.type == _MEMBER
        and membership_of(event) != INVITE
        and server_name_of(event.state_key or "") == server
    )
