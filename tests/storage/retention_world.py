"""A room in storage with retention classes, and a clock that the test sets."""

from homeserver.core.content.retention import FOR_EVER, Keeping
from homeserver.core.positions import EPOCH_MS, make
from storage.expiry import EventExpiry
from storage.interning import Interning
from storage.partitions import Partitions, position_at
from storage.retention import Moves
from storage.tables.events import EventNumbers, EventPlace, Events, add_event
from storage.tables.retention import Retention
from storage.tables.rooms import ROOM_INSERT, Rooms, add_room_tip
from storage.write import Write

DAY = 86_400_000
START = EPOCH_MS + 1_000 * DAY
WEEK, MONTH, YEAR = 7 * DAY, 30 * DAY, 365 * DAY
ROOM_ID = "!room:example.org"
NOT_PUBLIC = False
SECRET = b"the plaintext that nobody shall find"


class SetClock:
    def __init__(self, ms=START):
        self.ms = ms

    def now_ms(self):
        return self.ms

    def monotonic_ms(self):
        return self.ms


class World:
    """A room with classes of a week, a month and a year, and a clock."""

    def __init__(self, database, journal, make_event, witness):
        self.database, self.journal, self.make_event = database, journal, make_event
        self.clock = SetClock()
        self.table = Retention(database)
        self.events = Events(database)
        self.rooms = Rooms(database)
        self.partitions = Partitions(database, self.clock, witness.observe)
        self.expiry = EventExpiry(
            database=database, partitions=self.partitions, clock=self.clock, observer=witness.observe
        )
        self.moves = Moves(database=database, clock=self.clock, batch_events_max=3)
        self.nid = 0
        self.count = 0

    async def start(self):
        self.classes = await self.table.add_classes([WEEK, MONTH, YEAR])
        self.class_of = {lifetime: number for number, lifetime in self.classes.items()}
        await self.partitions.use_classes(self.classes)
        await self.new_room()
        return self

    async def new_room(self, room_id=ROOM_ID):
        self.nid = await self.rooms.new_room_nid()
        creator = await Interning(self.database).nid("user", "@alice:example.org")
        write = Write()
        write.add(ROOM_INSERT, self.nid, room_id, "10", creator, START, NOT_PUBLIC)
        await self.journal.append(write)

    async def send(
        self, ms=None, *, retention_class=0, position=None, is_end=True, state_key=None, **content
    ):
        """Store an event as of a time; returns it."""
        self.count += 1
        event = self.make_event(self.count, "m.room.message", state_key, **content)
        if position is None:
            position = make(self.clock.ms if ms is None else ms, 1, self.count % 4096)
        numbers = EventNumbers(1, 1, None if state_key is None else 1)
        write = Write(order_key=ROOM_ID)
        add_event(write, event, self.nid, numbers, EventPlace(position, 0, retention_class=retention_class))
        if is_end:
            self.end(write, event.event_id)
        await self.journal.append(write)
        return event

    def end(self, write, *event_ids):
        add_room_tip(write, self.nid, extremities=event_ids, depth=self.count, last_position=0, state_group=0)

    async def set_end(self, *event_ids):
        write = Write(order_key=ROOM_ID)
        self.end(write, *event_ids)
        await self.journal.append(write)

    async def tick(self, ms=0):
        self.clock.ms += ms
        await self.table.set_present(position_at(self.clock.ms), 0)

    async def keep(self, lifetime_ms):
        keeping = FOR_EVER if lifetime_ms is None else Keeping(self.class_of[lifetime_ms], lifetime_ms)
        return await self.table.plan(self.nid, keeping)

    async def move(self):
        while not (await self.moves.step(self.nid)).is_done:
            pass

    async def expire(self):
        return sum([await self.expiry.expire(number, life) for number, life in self.classes.items()])

    async def shown(self):
        return [one.event.event_id for one in await self.events.page(self.nid, None, "f", 1000)]

    async def stored(self):
        """Tell how often each event is stored, and in which class; the look-up must agree."""
        rows = await self.database.fetch(
            "SELECT event_id, array_agg(retention_class) FROM events GROUP BY event_id"
        )
        found = await self.database.fetch(
            "SELECT event_id, array_agg(retention_class) FROM event_ids GROUP BY 1"
        )
        assert sorted(rows) == sorted(found)
        return dict(rows)


async def names(database, like):
    rows = await database.fetch("SELECT relname::text FROM pg_class WHERE relkind IN ('r', 'p') ORDER BY 1")
    return [name for (name,) in rows if name.startswith(like)]


async def holding(database, text):
    """Find the tables with a row in which a text is."""
    tables = await database.fetch(
        "SELECT oid::regclass::text FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
    )
    found = []
    for (table,) in tables:
        row = await database.fetch_one(
            f"SELECT 1 FROM {table} AS row WHERE row::text LIKE %b OR row::text LIKE %b LIMIT 1",
            f"%{text.hex()}%", f"%{text.decode()}%",
        )  # fmt: skip
        if row is not None:
            found.append(table)
    return found
