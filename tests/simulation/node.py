"""One server of the simulation: what outlives its crashes, and what it must not forget."""

from homeserver.core.identifiers import server_name_of
from storage.tables.events import EventFlags
from tests.doubles.federated_rooms import HandClock, RoomsOfServer
from tests.simulation.faults import FaultyDatabase, FaultyLane, Fuse

_NEW = "SELECT position, event_id FROM events WHERE position > %b::bigint AND flags & 1 = 0 ORDER BY position"
_MEMBERS = (
    "SELECT text FROM memberships JOIN interned_users ON nid = user_nid"
    " JOIN rooms ON rooms.room_nid = memberships.room_nid"
    " WHERE rooms.room_id = %b AND membership = %b ORDER BY text"
)


class Node:
    """A server that may be down.

    Attributes:
        name: of the server.
        users: IDs of its users.
        server: its rooms; None while it is down.
        relays: IDs of events of others that it passes on, having let them in.
        acknowledged: IDs of events that it has told somebody are stored.
        sent_position: of the last event that was looked at for sending.
    """

    def __init__(self, name, users, database, network, skew_ms):
        self.name = name
        self.users = users
        self.network = network
        self.clock = HandClock(1_760_000_000_000 + skew_ms)
        self.fuse = Fuse()
        self.plain = database
        self.server = None
        self.room_id = None
        self.relays = set()
        self.acknowledged = set()
        self.sent_position = 0
        self.failures = []

    @property
    def is_up(self):
        return self.server is not None

    async def start(self):
        self.fuse.clear()
        self.fuse.is_blown = False
        database = FaultyDatabase(self.plain, self.fuse)
        self.server = await RoomsOfServer(self.name, database, self.network, self.clock).start()
        await self.server.journal.start()
        self.server.journal._lane = FaultyLane(self.server.journal._lane, self.fuse)

    async def crash(self):
        self.fuse.is_blown = True
        await self.server.crash()
        self.server = None

    async def stop(self):
        await self.server.stop()
        self.server = None

    async def members(self, membership="join", *, is_local=True):
        """List the users of ours who are in the room, as this server sees it."""
        rows = await self.plain.fetch(_MEMBERS, self.room_id, membership)
        own = [user_id for (user_id,) in rows if server_name_of(user_id) == self.name or not is_local]
        return own if membership == "join" or not is_local else [user_id for (user_id,) in rows]

    async def news(self):
        """List the events that were placed since the last time, oldest first."""
        rows = await self.plain.fetch(_NEW, self.sent_position)
        if rows:
            self.sent_position = rows[-1][0]
        stored = await self.server.events.by_ids([event_id for _, event_id in rows])
        return [stored[event_id] for _, event_id in rows]

    async def event_ids(self, flags=0):
        rows = await self.plain.fetch(
            "SELECT event_id FROM events WHERE flags & %b::integer = 0 ORDER BY position", flags
        )
        return [event_id for (event_id,) in rows]

    async def random_event(self, chance):
        return chance.choice(await self.event_ids())

    async def random_placed(self, chance):
        ids = await self.event_ids(int(EventFlags.OUTLIER))
        recent = ids[-8:] if chance.random() < 0.7 else ids
        return await self.server.events.by_id(chance.choice(recent))
