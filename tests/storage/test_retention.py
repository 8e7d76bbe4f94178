"""Classes, partitions, moves and expiry, on a real PostgreSQL, with a clock that the test sets."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeserver.core.content.retention import FOR_EVER, Keeping
from homeserver.core.positions import EPOCH_MS, make
from homeserver.runtime.observation import EventsForgotten
from storage.expiry import EventExpiry, Expiry
from storage.interning import Interning
from storage.partitions import PartitionBusy, PartitionDropped, Partitions, position_at
from storage.pool import Database
from storage.retention import Moves
from storage.tables.events import (
    EventFlags,
    EventNumbers,
    EventPlace,
    Events,
    add_event,
    add_redaction,
)
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


@pytest.fixture
async def world(database, journal, make_event, witness):
    return await World(database, journal, make_event, witness).start()


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


async def test_a_class_keeps_its_number_and_gets_its_tables_once(world, database):
    again = await world.table.add_classes([DAY, WEEK])
    assert again[world.class_of[WEEK]] == WEEK
    assert sorted(world.classes) == [1, 2, 3]
    assert sorted(again) == [1, 4]
    await world.partitions.use_classes(again)
    assert await world.partitions.make_ahead() == []
    assert "events_c4_default" in await names(database, "events_c4")


async def test_partitions_are_short_against_the_lifetime_and_cover_it(world, database):
    for number, lifetime in world.classes.items():
        rows = await world.partitions.over(number, position_at(START + 2 * YEAR))
        assert rows[0].low <= position_at(START - lifetime)
        assert rows[-1].high > position_at(START + 4 * DAY)
        assert all(before.high == after.low for before, after in itertools.pairwise(rows))
        widths = {(one.high - one.low) // position_at(EPOCH_MS + DAY) for one in rows}
        assert widths == {{WEEK: 1, MONTH: 7, YEAR: 30}[lifetime]}
        assert 6 <= len(rows) <= 16
    assert await names(database, "events_c1_2026_09_27") == ["events_c1_2026_09_27"]


async def test_events_go_to_the_partition_of_their_class_and_time(world, database):
    await world.send(retention_class=1)
    await world.send(retention_class=1, state_key="")
    rows = await database.fetch("SELECT tableoid::regclass::text FROM events ORDER BY position")
    assert rows[0] == ("events_c1_2026_09_27",)
    assert rows[1][0].startswith("events_c0_")


async def test_over_its_lifetime_a_partition_goes_with_what_points_at_it(world, database, witness):
    old = await world.send(retention_class=1, body="old")
    relation = "room_nid, position, sender_nid, origin_server_ts, type_nid, is_replacement, event_id"
    for table, columns, values in (
        ("relations", f"{relation}, parent_id, rel_type", f"{relation}, '$p', 'm.thread'"),
        ("redacted_events", "room_nid, redacted_position, event_id, json", "room_nid, 1, event_id, ''"),
        ("moved_events", "room_nid, nid, position", "room_nid, 1, position"),
        ("backward_extremities", "room_nid, position, event_id", "room_nid, position, '$lost'"),
        ("waiting_redactions", "room_nid, position, redacts", "room_nid, position, '$lost'"),
    ):
        pointed = "(SELECT *, 1 AS sender_nid, 1 AS origin_server_ts, 1 AS type_nid, false AS is_replacement"
        await database.execute(
            f"INSERT INTO {table} ({columns}) SELECT {values} FROM {pointed} FROM event_ids) AS pointed"
        )
    await world.tick(WEEK + 2 * DAY)
    young = await world.send(retention_class=1, body="young")

    assert await world.expire() == 1
    assert await world.stored() == {young.event_id: [1]}
    assert await world.events.by_id(old.event_id) is None
    assert "events_c1_2026_09_27" in {one.name for one in witness.of(PartitionDropped)}
    assert await names(database, "events_c1_2026_09_27") == []
    assert witness.of(EventsForgotten) == [EventsForgotten(1, 1)]
    for table in (
        "relations",
        "redacted_events",
        "moved_events",
        "backward_extremities",
        "waiting_redactions",
    ):
        assert await database.fetch(f"SELECT 1 FROM {table}") == []
    assert await world.expire() == 0


async def test_state_and_class_0_are_never_dropped(world):
    state = await world.send(retention_class=1, state_key="")
    message = await world.send(retention_class=0)
    await world.send(retention_class=1)
    await world.send(retention_class=1)
    await world.tick(10 * YEAR)
    await world.expire()
    stored = await world.stored()
    assert stored[state.event_id] == [0]
    assert stored[message.event_id] == [0]


async def test_the_end_of_a_rooms_graph_stays_without_its_content(world, database):
    end = await world.send(retention_class=1, body=SECRET.decode())
    other = await world.send(retention_class=1, is_end=False, body=SECRET.decode())
    await world.tick(2 * WEEK)
    assert await world.expire() == 1

    assert await world.stored() == {end.event_id: [0]}
    kept = await world.events.by_id(end.event_id)
    assert (kept.event.content, kept.event.depth) == ({}, end.depth)
    assert kept.flags & EventFlags.REDACTED
    assert await world.events.by_id(other.event_id) is None
    assert await holding(database, SECRET) == []


async def test_events_of_the_default_partition_and_backfilled_ones_go_one_by_one(world, monkeypatch):
    monkeypatch.setattr("storage.expiry.BATCH_EVENTS_MAX", 2)
    for days in (500, 400, 300):
        await world.send(START - days * DAY, retention_class=1)
    # The factory says that all were sent in 2023.
    for position in range(-5, 0):
        await world.send(position=position, retention_class=1)
    young = await world.send(retention_class=1)

    assert await world.expire() == 8
    assert await world.stored() == {young.event_id: [1]}


async def test_a_partition_in_use_is_dropped_later(world, postgres_dsn, database, witness):
    await world.send(retention_class=1)
    await world.send(retention_class=0)
    await world.tick(2 * WEEK)
    reader = await Database.open(database.dsn, pool_size_min=1, pool_size_max=1)
    try:
        async with reader.transaction() as transaction:
            await transaction.fetch("SELECT 1 FROM events")
            assert await world.expire() == 1
            assert witness.of(PartitionBusy)
            assert await names(database, "events_c1_2026_09_27") != []
            await world.send(retention_class=1)  # nobody else waits
    finally:
        await reader.close()
    assert await world.expire() == 0
    assert await names(database, "events_c1_2026_09_27") == []


async def test_what_is_over_the_rooms_lifetime_is_not_shown_though_it_is_stored(world):
    old = await world.send(retention_class=1)
    state = await world.send(state_key="")
    await world.tick(3 * DAY)
    young = await world.send(retention_class=1)
    await world.table.plan(world.nid, Keeping(1, 3 * DAY + 1))
    assert await world.shown() == [old.event_id, state.event_id, young.event_id]

    await world.tick(2)
    assert await world.shown() == [state.event_id, young.event_id]
    assert (await world.events.by_id(old.event_id)).flags & EventFlags.OVER_LIFETIME
    for event in (state, young):
        assert not (await world.events.by_id(event.event_id)).flags & EventFlags.OVER_LIFETIME
    await world.table.set_present(0, 0)  # time goes forward only
    assert await world.shown() == [state.event_id, young.event_id]
    await world.keep(None)
    assert await world.shown() == [old.event_id, state.event_id, young.event_id]


async def test_a_move_takes_the_messages_and_leaves_the_state(world):
    messages = [await world.send(START - number * DAY) for number in (5, 4, 3, 2, 1)]
    state = await world.send(state_key="")
    assert await world.keep(WEEK) is True
    assert await world.keep(WEEK) is False
    await world.move()

    assert await world.stored() == {event.event_id: [1] for event in messages} | {state.event_id: [0]}
    assert await world.shown() == [event.event_id for event in (*messages, state)]
    assert (await world.moves.step(world.nid)).is_done
    assert await world.table.moving(10) == []


async def test_what_is_over_the_new_lifetime_goes_instead_of_moving(world):
    await world.send(START - 8 * DAY)
    kept = await world.send(START - 6 * DAY)
    await world.keep(WEEK)
    moved = await world.moves.step(world.nid)
    assert (moved.events, moved.forgotten, moved.is_done) == (1, 1, True)
    assert await world.stored() == {kept.event_id: [1]}


async def lose_job(database):
    """Fall over with a batch half done."""
    async with database.transaction() as transaction:
        await transaction.execute("UPDATE events SET retention_class = 2 WHERE position > 0")
        raise asyncio.CancelledError


async def test_a_move_goes_on_where_another_was_interrupted(world, database):
    sent = [await world.send(START - number * 1000) for number in range(10, 0, -1)]
    await world.keep(MONTH)
    first = await world.moves.step(world.nid)
    assert (first.events, first.is_done) == (3, False)
    with pytest.raises(asyncio.CancelledError):
        await lose_job(database)
    assert await world.shown() == [event.event_id for event in sent]

    other = Moves(database=database, clock=world.clock, batch_events_max=4)
    steps = [await other.step(world.nid), await other.step(world.nid)]
    assert [step.events for step in steps] == [4, 3]
    assert await world.stored() == {event.event_id: [2] for event in sent}


async def test_an_event_that_moves_can_be_redacted_meanwhile(world, database):
    event = await world.send(START - DAY, body=SECRET.decode())
    redaction = await world.send(START)
    await world.keep(WEEK)
    async with database.transaction() as transaction:
        await transaction.execute("UPDATE events SET retention_class = 1 WHERE event_id = %b", event.event_id)
        await transaction.execute(
            "UPDATE event_ids SET retention_class = 1 WHERE event_id = %b", event.event_id
        )
        write = Write(order_key=ROOM_ID)
        add_redaction(write, event.redacted_by(redaction), redaction.event_id)
        redacted = world.journal.append(write)
        # Only the database knows when the redaction waits.
        while not await database.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):  # noqa: ASYNC110 - as said
            await asyncio.sleep(0)
    await redacted
    await world.move()
    assert await holding(database, SECRET) == []
    assert (await world.events.by_id(event.event_id)).event.content == {}


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([None, WEEK, MONTH, YEAR]),  # the room wants this
            st.integers(1, 4),  # so many batches move
            st.just("send"),
            st.just("crash"),
        ),
        max_size=25,
    )
)
async def test_after_any_moves_every_event_is_there_once(world, actions):
    world.count += 1
    await world.new_room(f"!{world.count}:example.org")
    sent = [await world.send(START - number * 1000) for number in range(8, 0, -1)]
    wanted = 0
    for action in actions:
        if action == "send":
            sent.append(await world.send(START + len(sent), retention_class=wanted))
        elif action == "crash":
            world.moves = Moves(database=world.database, clock=world.clock, batch_events_max=2)
        elif isinstance(action, int) and action <= 4:
            for _ in range(action):
                await world.moves.step(world.nid)
        else:
            await world.keep(action)
            wanted = 0 if action is None else world.class_of[action]
        assert await world.shown() == [event.event_id for event in sent]
        found = await world.events.by_ids([event.event_id for event in sent])
        assert len(found) == len(sent)
    await world.move()
    stored = await world.stored()
    assert {event.event_id: stored[event.event_id] for event in sent} == {
        event.event_id: [wanted] for event in sent
    }


async def test_redacted_content_is_kept_aside_for_its_time_and_then_gone(world, database, witness):
    await world.table.set_present(0, WEEK)
    event = await world.send(START, body=SECRET.decode())
    redaction = await world.send(START + 1)
    for _ in range(2):  # a second redaction finds nothing to keep
        write = Write(order_key=ROOM_ID)
        add_redaction(write, event.redacted_by(redaction), redaction.event_id)
        await world.journal.append(write)

    kept = await world.table.redacted(world.nid, event.event_id)
    assert (kept.room_id, kept.version, kept.json) == (ROOM_ID, "10", event.canonical)
    assert await holding(database, SECRET) == ["redacted_events"]
    expiry = Expiry(database, world.clock, witness.observe, WEEK)
    world.clock.ms = START + WEEK
    assert await expiry.expire_redacted() == 0
    world.clock.ms += 2
    assert await expiry.expire_redacted() == 1
    assert await holding(database, SECRET) == []


async def test_redacted_content_goes_at_once_if_so_configured(world, database):
    event = await world.send(START, body=SECRET.decode())
    redaction = await world.send(START + 1)
    assert (await holding(database, SECRET))[0].startswith("events_c0")
    write = Write(order_key=ROOM_ID)
    add_redaction(write, event.redacted_by(redaction), redaction.event_id)
    await world.journal.append(write)
    assert await holding(database, SECRET) == []


async def test_rooms_are_read_with_what_they_say(world):
    (room,) = await world.table.rooms(0, 10, kept_only=False)
    assert (room.room_nid, room.room_id, room.keeping, room.json) == (world.nid, ROOM_ID, FOR_EVER, None)
    assert await world.table.rooms(0, 10, kept_only=True) == []
    await world.keep(MONTH)
    (room,) = await world.table.rooms(0, 10, kept_only=True)
    assert room.keeping == Keeping(2, MONTH)
    assert await world.table.room(ROOM_ID) == room
    assert await world.table.room("!other:example.org") is None
    assert (await world.rooms.tip(world.nid)) is None
    await world.send()
    assert (await world.rooms.tip(world.nid)).retention_class == 2
