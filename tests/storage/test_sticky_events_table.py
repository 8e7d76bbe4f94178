"""What is sticky in rooms, as rows."""

import pytest

from storage.tables import sticky_events
from storage.tables.events import EventFlags, Events
from storage.write import Write
from tests.sync.stored_world import StoredWorld

ALICE, BOB = "@alice:example.org", "@bob:example.org"
ROOM, OTHER = "!room:example.org", "!other:example.org"
HOUR_MS = 3_600_000


@pytest.fixture
async def world(database):
    world = StoredWorld(database)
    for room_id in (ROOM, OTHER):
        world.create(room_id, ALICE)
    await world.store()
    return world


def call(world, room_id=ROOM, sender=ALICE, sticky_ms=HOUR_MS):
    world.send(room_id, sender, "m.rtc.member", sticky_ms=sticky_ms)
    return world.committed[room_id][-1]


async def read(world, after, *, until=2**62, ignored=(), limit=100):
    await world.store()
    rows = await sticky_events.current(
        world.database, Events(world.database), after, until=until, now_ms=world.clock.ms, ignored=ignored,
        limit=limit,
    )  # fmt: skip
    assert all(one.event.event_id for _, one in rows)
    return [position for position, _ in rows]


async def test_rows_are_read_in_the_order_of_the_stream_above_the_place_of_each_room(world):
    places = [call(world, room_id).position for room_id in (ROOM, OTHER, ROOM, OTHER)]

    assert await read(world, [(ROOM, 0), (OTHER, 0)]) == places
    assert await read(world, [(ROOM, 0)]) == [places[0], places[2]]
    assert await read(world, [(ROOM, places[0]), (OTHER, places[3])]) == [places[2]]
    assert await read(world, [(ROOM, 0), (OTHER, 0)], until=places[2]) == places[:3]
    assert await read(world, [(ROOM, 0), (OTHER, 0)], limit=2) == places[:2]
    assert await read(world, [("!unknown:example.org", 0)]) == []
    assert await read(world, []) == []


async def test_what_is_over_ignored_or_redacted_is_not_read(world):
    over, ignored, redacted, kept = (
        call(world, sticky_ms=2), call(world, sender=BOB), call(world), call(world)
    )  # fmt: skip
    world.send(ROOM, ALICE, "m.room.redaction", redacts=redacted.event.event_id)

    assert await read(world, [(ROOM, 0)], ignored=[BOB]) == [kept.position]
    assert await read(world, [(ROOM, 0)]) == [ignored.position, kept.position]
    assert over.position not in await read(world, [(ROOM, 0)])


@pytest.mark.parametrize(
    ("flags", "position", "rows"),
    [
        (EventFlags.NONE, 5, 1), (EventFlags.REDACTED, 5, 1), (EventFlags.SOFT_FAILED, 5, 1),
        (EventFlags.REJECTED, 5, 0), (EventFlags.OUTLIER, 5, 0), (EventFlags.WITHHELD, 5, 0),
        (EventFlags.SOFT_FAILED | EventFlags.WITHHELD, 5, 0), (EventFlags.NONE, -5, 0),
    ],
)  # fmt: skip
async def test_only_what_counts_has_a_row(world, flags, position, rows):
    event, write = call(world).event, Write()
    sticky_events.add_sticky_event(write, event, room_nid=1, position=position, flags=flags)
    assert len(write.rows) == rows
    assert [change.is_soft_failed for change in write.changes] == [True] * (flags == EventFlags.SOFT_FAILED)


async def test_a_soft_failed_one_moves_once_and_another_never(world):
    shown, failed = call(world), call(world)
    await world.store()
    await world.database.execute(
        "UPDATE sticky_events SET is_soft_failed = true WHERE event_id = %b", failed.event.event_id
    )
    room_nid = world.room_nids[ROOM]
    assert await read(world, [(ROOM, 0)]) == [shown.position]
    assert await sticky_events.rooms_with_soft_failed(world.database, world.clock.ms) == [ROOM]
    asked = world.database, room_nid, world.clock.ms
    assert await sticky_events.soft_failed_in(*asked, limit=9) == [failed.event.event_id]

    for place in (shown.position + 10**9, shown.position + 2 * 10**9):
        write = Write()
        for one in (shown, failed):
            sticky_events.move_soft_failed(write, room_nid, one.event.event_id, place)
        await world._execute(write)
    assert await read(world, [(ROOM, 0)]) == [shown.position, shown.position + 10**9]
    assert await sticky_events.soft_failed_in(*asked, limit=9) == []


async def test_what_is_over_is_deleted(world):
    call(world, sticky_ms=1_000)
    kept = call(world)
    await world.store()
    assert await sticky_events.delete_over(world.database, world.clock.ms + 1_000) == 1
    assert await sticky_events.delete_over(world.database, world.clock.ms + 1_000) == 0
    assert await read(world, [(ROOM, 0)]) == [kept.position]
