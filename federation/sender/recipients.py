"""Which servers something is for: those that are in its room, or share one with the user it is about."""

import asyncio
from collections.abc import Callable, Iterable

from federation.sender.outbox import Outbox
from homeserver.core.changes import DeviceListChange, EventChange
from homeserver.core.content.member import INVITE, membership_of
from homeserver.core.errors import Unavailable
from homeserver.core.identifiers import server_name_of
from homeserver.rooms.room_servers import RoomServers, ServersOfRoom
from homeserver.runtime.observation import Observer
from homeserver.runtime.tasks import Tasks
from storage.tables import sending
from storage.tables.queries import Queries
from storage.tables.room_servers import rooms_of_users

__all__ = ["Recipients", "TakeEvent", "TakeUser"]

RETRY_S = 1.0
USERS_AT_ONCE_MAX = 100
_MEMBER = "m.room.member"

TakeEvent = Callable[[Iterable[str], EventChange], None]
TakeUser = Callable[[Iterable[str], DeviceListChange], None]


class Recipients:
    """Finds out for whom things are; at once where that is at hand, as it is for rooms in use.

    Args:
        queries: where memberships are.
        room_servers: who is in which room.
        outbox: messages for devices.
        observer: hears of what fails.
        server_name: ours.
        may_send: whether the operator lets this server speak with another.
    """

    def __init__(
        self, *, queries: Queries, room_servers: RoomServers, outbox: Outbox, observer: Observer,
        server_name: str, may_send: Callable[[str], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        self.outbox = outbox
        self._queries = queries
        self._room_servers = room_servers
        self._server_name = server_name
        self._may_send = may_send
        self._tasks = Tasks(observer)
        self._events: dict[str, list[EventChange]] = {}  # by room, until it is read who is in it
        self._lists: dict[str, DeviceListChange] = {}
        self._is_reading_lists = False

    @property
    def lowest_pending(self) -> int | None:
        """The lowest position of what nobody has taken yet."""
        pending = [changes[0].position for changes in self._events.values()]
        pending += [change.position for change in self._lists.values()]
        return min(pending, default=None)

    def of_event(self, change: EventChange, take: TakeEvent) -> None:
        """Hand an event over with the servers that it is for; those of one room in their order."""
        waiting = self._events.get(change.room_id)
        if waiting is not None:
            waiting.append(change)
            return
        room = self._room_servers.known(change.room_id)
        if room is None:
            self._events[change.room_id] = [change]
            self._tasks.start(self._read_room(change.room_id, take), "servers of a room")
        elif room.servers:
            self._hand_over(room, change, take)

    def of_device_list(self, change: DeviceListChange, take: TakeUser) -> None:
        """Hand over that the devices of a user of ours changed, with the servers that share a room."""
        if change.told_to is not None or server_name_of(change.user_id) != self._server_name:
            return
        self._lists[change.user_id] = change
        if not self._is_reading_lists:
            self._is_reading_lists = True
            self._tasks.start(self._read_lists(take), "servers of users")

    async def of_room(self, room_id: str, position: int) -> list[str]:
        """Name the servers that are to hear of events in a room from a position on.

        Raises:
            Unavailable: it could not be read.
        """
        return self.allowed((await self._room_servers.read(room_id)).to_hear(position))

    async def of_device_lists_after(self, position: int) -> dict[str, dict[str, int]]:
        """Tell which servers are to hear of which users, whose devices changed above a position.

        Raises:
            Unavailable: it could not be read.
        """
        changed = dict(await sending.lists_changed_after(self._queries, position, self._server_name))
        found: dict[str, dict[str, int]] = {}
        for user_id, servers in (await self.of_users(changed)).items():
            for server in servers:
                found.setdefault(server, {})[user_id] = changed[user_id]
        return found

    async def of_users(self, user_ids: Iterable[str]) -> dict[str, list[str]]:
        """Name the servers that share a room with users of ours.

        Raises:
            Unavailable: it could not be read.
        """
        found: dict[str, set[str]] = {user_id: set() for user_id in user_ids}
        for user_id, room_id in await rooms_of_users(self._queries, found):
            found[user_id] |= await self._room_servers.joined(room_id)
        return {user_id: self.allowed(servers) for user_id, servers in found.items()}

    def allowed(self, servers: Iterable[str]) -> list[str]:
        """Name those of some servers with which this one speaks."""
        return [server for server in servers if server != self._server_name and self._may_send(server)]

    async def close(self) -> None:
        """Look nothing up any more."""
        await self._tasks.close()

    def _hand_over(self, room: ServersOfRoom, change: EventChange, take: TakeEvent) -> None:
        servers = room.to_hear(change.position)
        event = change.event
        if event.type == _MEMBER and event.state_key is not None and membership_of(event) == INVITE:
            # Who is invited gets that another way; a server that is not in the room has no use for it.
            invited = server_name_of(event.state_key)
            if invited not in room.joined:
                servers -= {invited}
        if change.is_relayed:
            servers -= {server_name_of(event.sender)}
        if servers:
            take(self.allowed(servers), change)

    async def _read_room(self, room_id: str, take: TakeEvent) -> None:
        while True:
            try:
                room = await self._room_servers.read(room_id)
            except Unavailable:
                await asyncio.sleep(RETRY_S)
                continue
            for change in self._events.pop(room_id):
                self._hand_over(room, change, take)
            return

    async def _read_lists(self, take: TakeUser) -> None:
        try:
            while self._lists:
                changes = list(self._lists.values())[:USERS_AT_ONCE_MAX]
                try:
                    found = await self.of_users([change.user_id for change in changes])
                except Unavailable:
                    await asyncio.sleep(RETRY_S)
                    continue
                for change in changes:
                    take(found.get(change.user_id, ()), change)
                    if self._lists.get(change.user_id) is change:
                        del self._lists[change.user_id]
        finally:
            self._is_reading_lists = False
