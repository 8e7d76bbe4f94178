"""What reads back in the rooms of a `RoomsOfServer`, and the past that other servers tell it."""

from homeserver.app.build_backfill import build_backfill
from homeserver.app.build_history import build_history
from homeserver.app.build_receiving import RemotePorts
from homeserver.app.storage import Runtime
from homeserver.core.filters import RoomEventFilter
from homeserver.rooms.history import PageRequest
from homeserver.rooms.sight import Sight
from homeserver.runtime.randomness import SystemRandomness
from homeserver.runtime.tasks import Tasks
from storage.interning import Interning
from storage.tables.erased_users import ErasedUsers
from storage.tables.rooms import Rooms
from tests.doubles.federated_rooms import AnyPolicy, KnownKeys, RemoteRooms


class RemotePast:
    """Asks another server of the network for its rooms' past; the double of `RemoteHistory`."""

    def __init__(self, network, origin):
        self.network, self.origin = network, origin
        self.asked = []
        self.gate = None
        self.limit = 100

    async def backfill(self, server, room_id, *, latest, limit):
        self.asked.append((server, tuple(latest)))
        if self.gate is not None:
            await self.gate.wait()
        other = self.network.reach(self.origin, server)
        stored = await other.events.by_ids(latest)
        found = []
        if stored:
            room_nid = next(iter(stored.values())).room_nid
            top = max(one.position for one in stored.values())
            found = await other.events.page(room_nid, top, "b", min(limit, self.limit))
        return [dict(one.event.pdu) for one in found]

    async def timestamp_to_event(self, server, room_id, *, timestamp_ms, direction):
        self.asked.append((server, timestamp_ms, direction))
        other = self.network.reach(self.origin, server)
        room = await other.registry.actor(room_id)
        events = [one.event for one in await other.events.page(room.room_nid, None, "f", 1_000)]
        if direction == "f":
            fitting = [one for one in events if one.origin_server_ts >= timestamp_ms][:1]
        else:
            fitting = [one for one in events if one.origin_server_ts <= timestamp_ms][-1:]
        return (fitting[0].event_id, fitting[0].origin_server_ts) if fitting else None


class Nobody:
    async def ignored_by(self, user_id):
        return frozenset()


class Requester:
    user_id, session_id, device_id, is_guest = "@bob:b.example", 0, "D", False


class Reader:
    """A client of a server, with what it reads by."""

    def __init__(self, server):
        database = server.database
        self.server = server
        self.seen, self.near = [], set()
        self.remote = RemotePast(server.network, server.name)
        runtime = Runtime(server.clock, SystemRandomness(), self.seen.append)
        self.tasks = Tasks(self.seen.append)
        ports = RemotePorts(
            RemoteRooms(server.network, server.name), KnownKeys(server.network), AnyPolicy()
        )
        self.backfill = build_backfill(
            runtime=runtime, database=database, registry=server.registry, state_at=server.state_at,
            ports=ports, remote=self.remote, is_near=lambda name: name in self.near, tasks=self.tasks,
        )  # fmt: skip
        interning = Interning(database)
        sight = Sight(
            rooms=Rooms(database), memberships=server.memberships, state=server.state, interning=interning,
            state_at=server.state_at, erased_users=ErasedUsers(database),
        )  # fmt: skip
        self.services = build_history(
            database, interning, sight=sight, ignored_users=Nobody(), clock=server.clock, older=self.backfill
        )

    async def page(self, room_id, start=None, limit=50, **wanted):
        request = PageRequest("b", start, None, limit, RoomEventFilter(**wanted))
        page = await self.services.history.page(Requester, room_id, request)
        end = None if page.end is None else int(page.end[1:])
        return page, end

    async def read_back(self, room_id, limit=50):
        """All event IDs that a client gets by reading back, oldest first."""
        found, start = [], None
        for _ in range(200):
            page, start = await self.page(room_id, start, limit)
            found += [event_id_in(each) for each in page.chunk]
            if start is None:
                break
        else:
            raise AssertionError("it has no end")
        return found[::-1]


def event_id_in(encoded):
    return encoded.split(b'"event_id":"')[1].split(b'"')[0].decode()
