"""Classes, partitions, expiry and redacted content, on a real PostgreSQL with a clock that the test sets."""

import itertools

import pytest

from homeserver.core.content.retention import FOR_EVER, Keeping
from homeserver.core.positions import EPOCH_MS
from homeserver.runtime.observation import EventsForgotten
from storage.expiry import Expiry
from storage.partitions import PartitionBusy, PartitionDropped, position_at
from storage.pool import Database
from storage.tables.events import EventFlags, add_redaction
from storage.write import Write
from tests.storage.retention_world import (
    DAY,
    MONTH,
    ROOM_ID,
    SECRET,
    START,
    WEEK,
    YEAR,
    World,
    holding,
    names,
)


@pytest.fixture
async def world(database, journal, make_event, witness):
    return await World(database, journal, make_event, witness).start()


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


async def test_a_partition_in_use_is_dropped_later(world, monkeypatch, database, witness):
    monkeypatch.setattr("storage.partitions._LOCK_TIMEOUT_MS", 20)  # for each of those that are over
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


async def test_redacted_content_is_kept_aside_for_its_time_and_then_gone(world, database, witness):
    await world.table.set_present(0, WEEK)
    event = await world.send(START, body=SECRET.decode())
    redaction = await world.send(START + 1)
    for _ in range(2):  # a second redaction finds nothing to keep
        write = Write(order_key=ROOM_ID)
        add_redaction(write, event.redacted_by(redaction), redaction.event_id)
        await world.journal.append(write)

    assert await world.table.redacted(world.nid, event.event_id) == event.canonical
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
