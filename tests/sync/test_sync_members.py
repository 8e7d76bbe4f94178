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
    rows = await world.members_of(ROOM, 100)

    async def slowly(room_id, count_max):
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

    async def never(room_id, count_max):
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


@pytest.fixture
def large(world):
    """Every room with more than two members is large."""
    members = RoomMembers(world, members_per_room_max=2)
    world.bus.subscribe(lambda changes: [members.take_in(change) for change in changes])
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    world.member(ROOM, "@carol:example.org", "invite", ALICE)
    return members


async def test_of_a_large_room_the_summary_is_read_and_read_again_only_after_a_change(world, large):
    first = await large.summary(ROOM, ALICE)
    before = world.reads
    world.send(ROOM, BOB, "m.room.message", body="hello")
    same = await large.summary(ROOM, BOB)

    assert (first.heroes, first.joined, first.invited) == ([BOB, "@carol:example.org"], 2, 1)
    assert (same.heroes, same.joined, same.invited) == ([ALICE, "@carol:example.org"], 2, 1)
    assert world.reads == before
    world.member(ROOM, "@carol:example.org", "join")
    later = await large.summary(ROOM, ALICE)
    assert (later.joined, later.invited) == (3, 0)
    assert world.reads == before + 1  # it is known to be large


async def test_what_comes_while_a_large_room_is_read_is_read_by_the_next(world, large):
    asked, short = asyncio.Event(), await world.members_in_short(ROOM, 6)

    async def slowly(room_id, count_max):
        await asked.wait()
        return short

    good, world.members_in_short = world.members_in_short, slowly
    first = asyncio.create_task(large.summary(ROOM, ALICE))
    await asyncio.sleep(0)
    world.member(ROOM, "@dave:example.org", "join")
    world.members_in_short = good
    second = asyncio.create_task(large.summary(ROOM, ALICE))
    await asyncio.sleep(0)
    asked.set()

    assert (await first).joined == 2  # as of when it asked
    assert (await second).joined == 3


async def test_large_rooms_make_way_and_weigh_little(world, large):
    await large.summary(ROOM, ALICE)
    weight = large._members
    world.member(ROOM, "@dave:example.org", "join")

    assert weight == 3
    assert (large._members, len(large._rooms)) == (0, 0)
