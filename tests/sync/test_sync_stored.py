"""Sync on PostgreSQL: the reads say what the double says, and increments add up."""

import asyncio
import random

import pytest

from tests.sync.stored_world import StoredWorld
from tests.sync.sync_run import ROOMS, USERS, Run, check_increments
from tests.sync.sync_world import requester


@pytest.mark.parametrize("seed", range(6))
async def test_increments_add_up_on_the_real_database(database, seed):
    run = Run(seed, StoredWorld(database))
    await run.go(steps=60)

    await check_increments(run)


def plain(value):
    """Rows of either kind, comparable."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "json"):
        return value.position, value.event.event_id, value.replaces, value.event.content
    return getattr(value, "event_id", value)


async def test_the_reads_say_what_the_double_says(database):
    world = StoredWorld(database)
    run = Run(1, world)
    await run.go(steps=120)
    room_id = max(world.committed, key=lambda each: len(world.committed[each]))
    said = world.send(room_id, USERS[0], body="regretted")
    world.send(room_id, USERS[0], "m.room.redaction", redacts=said)
    await world.store()
    positions = [change.position for change in world.committed[room_id]]
    middle = positions[len(positions) // 2]

    stored, double = world.source, world
    for ask in (
        lambda reads: reads.heads(),
        lambda reads: reads.members_of(room_id, 100),
        lambda reads: reads.members_of(room_id, 1),
        lambda reads: reads.last_positions([*ROOMS, "!unknown:example.org"]),
        lambda reads: reads.events_until(room_id, positions[-1], 7, requester(USERS[0])),
        lambda reads: reads.events_until(room_id, middle, 100, requester(USERS[0])),
        lambda reads: reads.visibility_history(room_id),
        *(lambda reads, user=user: reads.memberships_of(user) for user in (*USERS, "@nobody:here")),
        *(lambda reads, user=user: reads.membership_history(room_id, user) for user in USERS),
    ):
        assert plain(await ask(stored)) == plain(await ask(double))
    for ask in (
        lambda reads: reads.state_at(room_id, middle),
        lambda reads: reads.state_at(room_id, middle, members=USERS[:1]),
        lambda reads: reads.members_at(room_id, positions[-1], USERS[:2]),
    ):
        assert set(plain(await ask(stored))) == set(plain(await ask(double)))
    changes = await stored.state_changes(room_id, middle, positions[-1])
    assert plain(sorted(changes)) == plain(sorted(await double.state_changes(room_id, middle, positions[-1])))
    some = world.event_ids(room_id)[:3]
    assert plain(await stored.events([*some, "$unknown"])) == plain(await double.events(some))
    assert set(world.committed) <= set(ROOMS)
    world.notifier.stop()


async def test_what_is_read_of_many_rooms_at_once_is_what_is_read_of_each_alone(database):
    world = StoredWorld(database)
    await Run(2, world).go(steps=120)
    await world.store()
    reads, chance = world.source, random.Random(1)
    places = [
        (room_id, change.position)
        for room_id, changes in world.committed.items()
        for change in chance.sample(changes, min(len(changes), 6))
    ]
    assert len({room_id for room_id, _ in places}) > 1

    for read in (
        lambda room_id, place: reads.events_until(room_id, place, length_of(place), requester(USERS[0])),
        reads.state_at,
        lambda room_id, place: reads.state_at(room_id, place, members=USERS[:1]),
        lambda room_id, place: reads.members_at(room_id, place, USERS[:2]),
        lambda room_id, place: reads.membership_history(room_id, USERS[place % 3]),
        lambda room_id, _: reads.visibility_history(room_id),
        lambda room_id, _: reads.members_of(room_id, 100),
    ):
        together = await asyncio.gather(*[read(*place) for place in places])
        alone = [await read(*place) for place in places]
        assert [plain(one) for one in together] == [plain(one) for one in alone]
        assert any(alone)
    world.notifier.stop()


async def test_of_a_room_that_is_not_stored_nothing_is_read_and_of_others_what_there_is(database):
    world = StoredWorld(database)
    world.create(ROOMS[0], USERS[0])
    await world.store()
    reads, place, unknown = world.source, world.snowflakes.last, "!unknown:example.org"

    for read in (
        lambda room_id: reads.events_until(room_id, place, 5, requester(USERS[0])),
        lambda room_id: reads.state_at(room_id, place),
        lambda room_id: reads.state_at(room_id, place, members=USERS[:1]),
        lambda room_id: reads.members_at(room_id, place, USERS[:1]),
        lambda room_id: reads.membership_history(room_id, USERS[0]),
        lambda room_id: reads.members_of(room_id, 100),
        lambda room_id: reads.members_in_short(room_id, 5),
        lambda room_id: reads.state_changes(room_id, 0, place),
    ):
        nothing, something = await asyncio.gather(read(unknown), read(ROOMS[0]))
        assert not any(nothing)
        assert any(something)
    assert await reads.receipts_of(unknown, 0) == []
    assert await reads.seen(unknown, USERS[0], ["$unknown"]) == set()


def length_of(place):
    """A length of a page: another one for each place."""
    return 1 + place % 7
