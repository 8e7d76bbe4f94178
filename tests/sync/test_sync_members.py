"""Summaries: who is in a room, read once and kept current."""

import asyncio

import pytest

from homeserver.sync.members import RoomMembers
from tests.sync.sync_world import World

ALICE, BOB = "@alice:example.org", "@bob:example.org"
ROOM = "!room:example.org"


@pytest.fixture
def members(world):
    members = RoomMembers(world)
    world.bus.subscribe(lambda changes: [members.take_in(change) for change in changes])
    return members


async def test_a_summary_counts_and_names_the_others_in_order(world, members):
    world.create(ROOM, ALICE)
    users = [f"@user{number}:example.org" for number in range(7)]
    for user_id in users:
        world.member(ROOM, user_id, "join")
    world.member(ROOM, BOB, "invite", ALICE)

    summary = await members.summary(ROOM, ALICE)

    assert summary.heroes == users[:5]
    assert (summary.joined, summary.invited) == (8, 1)
    world.member(ROOM, users[0], "leave")
    later = await members.summary(ROOM, ALICE)
    assert later.heroes == users[1:6]
    assert (later.joined, later.invited) == (7, 1)


async def test_where_nobody_is_left_those_who_went_are_named(world, members):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    world.member(ROOM, BOB, "leave")

    assert (await members.summary(ROOM, ALICE)).heroes == [BOB]


async def test_one_reads_for_all_and_what_comes_meanwhile_counts(world, members):
    world.create(ROOM, ALICE)
    asked = asyncio.Event()
    rows = await world.members_of(ROOM)

    async def slowly(room_id):
        world.reads += 1
        await asked.wait()
        return rows

    world.members_of = slowly
    before = world.reads
    summaries = [asyncio.create_task(members.summary(ROOM, ALICE)) for _ in range(5)]
    await asyncio.sleep(0)
    world.member(ROOM, BOB, "join")
    asked.set()

    assert {summary.joined for summary in await asyncio.gather(*summaries)} == {2}
    assert world.reads == before + 1


async def test_a_reader_that_goes_away_or_fails_leaves_the_others_to_try_again(world, members):
    world.create(ROOM, ALICE)
    first = asyncio.create_task(members.summary(ROOM, ALICE))
    second = asyncio.create_task(members.summary(ROOM, ALICE))
    good, blocked = world.members_of, asyncio.Event()

    async def never(room_id):
        await blocked.wait()

    world.members_of = never
    await asyncio.sleep(0)
    world.members_of = good
    first.cancel()

    assert (await asyncio.wait_for(second, 5)).joined == 1


async def test_rooms_make_way_for_others():
    world = World()
    await world.start()
    members = RoomMembers(world, members_max=3)
    for number in range(10):
        world.create(f"!room{number}:example.org", ALICE)
        await members.summary(f"!room{number}:example.org", ALICE)

    assert len(members._rooms) == 3
    assert members._members == 3
    world.notifier.stop()
