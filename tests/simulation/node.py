"""One server of the simulation: what outlives its crashes, and what it must not forget."""

from homeserver.core.changes import EventChange
from homeserver.core.identifiers import server_name_of
from storage.tables.events import EventFlags
from tests.doubles.federated_rooms import HandClock, RoomsOfServer
from tests.simulation.faults import FaultyDatabase, FaultyLane, Fuse

_NEW = "SELECT position, event_id FROM events WHERE position > %b::bigint AND flags & 1 = 0 ORDER BY position"
_CURRENT_STATE = (
    "SELECT types.text, keys.text, events.event_id FROM current_state"
    " JOIN interned_types AS types ON types.nid = current_state.type_nid"
    " JOIN interned_state_keys AS keys ON keys.nid = current_state.state_key_nid"
    " LEFT JOIN moved_events AS moved"
    " ON moved.room_nid = current_state.room_nid AND moved.nid = current_state.position"
    " JOIN events ON events.room_nid = current_state.room_nid"
    " AND events.position = coalesce(moved.position, current_state.position)"
    " WHERE current_state.position <> 0"
)
_MEMBERS = (
    "SELECT text FROM memberships JOIN interned_users ON nid = user_nid"
    " JOIN rooms ON rooms.room_nid = memberships.room_nid"
    " WHERE rooms.room_id = %b AND membership = %b ORDER BY text"
)


class NodeOfRoom:
    """A server that may be down, and what its storage has of the room.

    Attributes:
        name: of the server.
        plain: its database, without faults.
        network: the way to the others.
        server: its rooms; None while it is down.
        room_id: of the one room.
        acknowledged: IDs of events that it has told somebody are stored.
        state_at_start: the current state when it came up: event IDs by type and state key.
    """

    def __init__(self, name, database, network, skew_ms):
        self.name = name
        self.plain = database
        self.network = network
        self.clock = HandClock(1_760_000_000_000 + skew_ms)
        self.fuse = Fuse()
        self.server = None
        self.room_id = None
        self.acknowledged = set()
        self.state_at_start = {}

    @property
    def is_up(self):
        return self.server is not None

    async def current_state(self):
        """Read the current state as the tables have it."""
        rows = await self.plain.fetch(_CURRENT_STATE)
        return {(event_type, state_key): event_id for event_type, state_key, event_id in rows}

    def published_state(self):
        """Put together what readers of the changes make of the current state."""
        state = dict(self.state_at_start)
        for change in self.server.published:
            if not isinstance(change, EventChange):
                continue
            state |= {(event.type, event.state_key): event.event_id for event in change.resets}
            for key in change.removed:
                state.pop(key, None)
            if change.event.is_state and change.is_current:
                state[change.event.type, change.event.state_key] = change.event.event_id
        return state

    async def members(self, membership="join", *, is_local=True):
        """List the users who are in the room, as this server sees it: its own, or all of them."""
        rows = await self.plain.fetch(_MEMBERS, self.room_id, membership)
        own = [user_id for (user_id,) in rows if server_name_of(user_id) == self.name or not is_local]
        return own if membership == "join" or not is_local else [user_id for (user_id,) in rows]


class Node(NodeOfRoom):
    """A server that is the room engine alone.

    Attributes:
        users: IDs of its users.
        relays: IDs of events of others that it passes on, having let them in.
        sent_position: of the last event that was looked at for sending.
    """

    def __init__(self, name, users, database, network, skew_ms):
        super().__init__(name, database, network, skew_ms)
        self.users = users
        self.relays = set()
        self.sent_position = 0

    async def start(self):
        self.fuse.clear()
        self.fuse.is_blown = False
        database = FaultyDatabase(self.plain, self.fuse)
        self.server = await RoomsOfServer(self.name, database, self.network, self.clock).start()
        await self.server.journal.start()
        self.server.journal._lane = FaultyLane(self.server.journal._lane, self.fuse)
        self.state_at_start = await self.current_state()

    async def crash(self):
        self.fuse.is_blown = True
        await self.server.crash()
        self.server = None

    async def stop(self):
        await self.server.stop()
        self.server = None

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
