"""Which other servers are in which room: in memory for rooms in use, and kept true from the bus.

Spec: https://spec.matrix.org/v1.19/server-server-api/#transactions
"""

import asyncio
from collections.abc import Sequence

from homeserver.core.changes import Change, EventChange
from homeserver.core.content.member import membership_of
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from storage.cache import LruCache
from storage.tables.queries import Queries
from storage.tables.room_servers import ServerInRoom, servers_of_room

__all__ = ["ROOMS_MAX", "RoomServers", "ServersOfRoom"]

ROOMS_MAX = 50_000
_JOIN, _MEMBER = "join", "m.room.member"
_NOBODY: frozenset[str] = frozenset()


class ServersOfRoom:
    """The other servers in one room, as of now.

    Attributes:
        servers: what is known of each that ever had a user with a membership.
        last_position: of the last change of any of that.
        joined: those that have users in the room.
    """

    __slots__ = ("joined", "last_position", "servers")

    def __init__(self, servers: dict[str, ServerInRoom]) -> None:
        self.servers = servers
        self.last_position = max([one.position for one in servers.values()], default=0)
        self.joined = _NOBODY
        self.list_joined()

    def list_joined(self) -> None:
        """Take note of which servers are in the room now."""
        if self.servers:
            self.joined = frozenset([name for name, one in self.servers.items() if one.joined])

    def to_hear(self, position: int) -> frozenset[str]:
        """Name the servers that are to be told of what has a position in the room.

        That is who was in the room before it or is after it, and who was kicked out or banned by it. Who came
        later may be among them, and nobody who had left.
        """
        if position > self.last_position:
            return self.joined
        late = [name for name, one in self.servers.items() if one.position >= position]
        return self.joined.union(late)


class RoomServers:
    """Knows the other servers in rooms. Subscribe `follow` before whoever asks it in the same moment.

    Args:
        queries: where memberships are.
        server_name: ours, which is never named.
        rooms_max: so many rooms are held; others are read when somebody asks.
    """

    def __init__(self, queries: Queries, server_name: str, rooms_max: int = ROOMS_MAX) -> None:
        self._queries = queries
        self._server_name = server_name
        self._rooms: LruCache[str, ServersOfRoom] = LruCache(rooms_max)
        self._loads: dict[str, asyncio.Task[ServersOfRoom]] = {}
        self._missed: dict[str, list[EventChange]] = {}  # published while the room was being read

    def follow(self, changes: Sequence[Change]) -> None:
        """Take in what was committed."""
        for change in changes:
            if isinstance(change, EventChange) and (
                change.event.type == _MEMBER or change.resets or change.removed
            ):
                self._take_in(change)

    async def joined(self, room_id: str) -> frozenset[str]:
        """Name the other servers that have users in a room.

        Raises:
            Unavailable: it could not be read just now.
        """
        return (await self.read(room_id)).joined

    def known(self, room_id: str) -> ServersOfRoom | None:
        """The servers in a room, if that is at hand. Look at it before the next await."""
        return self._rooms.get(room_id)

    async def read(self, room_id: str) -> ServersOfRoom:
        """The servers in a room, read if need be. Look at it before the next await.

        Raises:
            Unavailable: it could not be read just now.
        """
        return self._rooms.get(room_id) or await self._load(room_id)

    async def _load(self, room_id: str) -> ServersOfRoom:
        load = self._loads.get(room_id)
        if load is None:
            # A task, since those who wait for it must not lose it when the first of them goes away.
            load = self._loads[room_id] = asyncio.ensure_future(self._read(room_id))
            load.add_done_callback(_look)
        return await asyncio.shield(load)

    async def _read(self, room_id: str) -> ServersOfRoom:
        try:
            while True:
                missed = self._missed[room_id] = []
                room = ServersOfRoom(await servers_of_room(self._queries, room_id))
                # A room's changes are committed in the order of their positions: what was read has all of
                # those up to the last position in it, and none above.
                read_until = room.last_position
                if all(self._apply(room, one) for one in missed if one.position > read_until):
                    self._rooms.put(room_id, room)
                    return room
        finally:
            del self._missed[room_id], self._loads[room_id]

    def _take_in(self, change: EventChange) -> None:
        missed = self._missed.get(change.room_id)
        if missed is not None:
            missed.append(change)
        room = self._rooms.get(change.room_id)
        if room is not None and change.position > room.last_position and not self._apply(room, change):
            self._rooms.forget(change.room_id)

    def _apply(self, room: ServersOfRoom, change: EventChange) -> bool:
        """Change what is known of a room; False if it has to be read anew."""
        if change.lost_members or any(event.type == _MEMBER for event in change.resets):
            return False  # nobody says what these were before
        event = change.event
        if event.type == _MEMBER and event.state_key is not None and change.is_current:
            self._count_member(room, event, change)
        return True

    def _count_member(self, room: ServersOfRoom, event: Event, change: EventChange) -> None:
        assert event.state_key is not None
        server = server_name_of(event.state_key)
        if server is None or server == self._server_name:
            return
        one = room.servers.get(server)
        if one is None:
            one = room.servers[server] = ServerInRoom(0, 0)
        before = one.joined
        one.joined += int(membership_of(event) == _JOIN) - int(change.previous_membership == _JOIN)
        assert one.joined >= 0, "nobody leaves who is not in"
        one.position = room.last_position = change.position
        if not before or not one.joined:
            room.list_joined()


def _look(done: "asyncio.Task[ServersOfRoom]") -> None:
    if not done.cancelled():
        done.exception()  # whoever waits hears of it; nobody may be left
