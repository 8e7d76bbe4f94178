"""Rooms in which something happened lately are shown from memory, to those who are new to them too."""

import pytest

from tests.sync.sync_asking import ALICE, BOB, ROOM, ids, sync


@pytest.mark.parametrize(("limit", "reads_timeline"), [(1, False), (3, False), (4, True)])
async def test_a_timeline_is_read_only_if_it_goes_back_further_than_memory(world, limit, reads_timeline):
    world.create(ROOM, ALICE)
    await world.start()
    asked = []
    read = world.events_until

    async def events_until(*args):
        asked.append(args)
        return await read(*args)

    world.events_until = events_until
    sent = [world.send(ROOM, ALICE, body=str(number)) for number in range(4)]
    room = (await sync(world, ALICE, wanted={"room": {"timeline": {"limit": limit}}}))["rooms"]["join"][ROOM]

    assert ids(room["timeline"]) == sent[-limit:]
    assert room["timeline"]["limited"] is True
    assert bool(asked) is reads_timeline


async def test_what_is_not_to_be_seen_is_not_shown_from_memory_either(world):
    world.create(ROOM, ALICE, visibility="joined")
    hidden = [world.send(ROOM, ALICE, body=str(number)) for number in range(5)]
    joined = world.member(ROOM, BOB, "join")
    room = (await sync(world, BOB, wanted={"room": {"timeline": {"limit": 3}}}))["rooms"]["join"][ROOM]
    assert ids(room["timeline"]) == [joined]
    world.send(ROOM, ALICE, body="heard")
    world.ignore(BOB, ALICE)
    room = (await sync(world, BOB, wanted={"room": {"timeline": {"limit": 1}}}))["rooms"]["join"][ROOM]
    assert ids(room["timeline"]) == [joined]
    assert not set(hidden) & set(ids(room["timeline"]))


async def test_an_event_that_is_not_published_yet_is_not_shown(world):
    world.create(ROOM, ALICE)
    sent = [world.send(ROOM, ALICE, body=str(number)) for number in range(3)]
    world.holds_back = True
    world.send(ROOM, ALICE, body="not yet")
    room = (await sync(world, ALICE, wanted={"room": {"timeline": {"limit": 2}}}))["rooms"]["join"][ROOM]
    assert ids(room["timeline"]) == sent[-2:]


async def test_memory_that_is_older_than_a_day_is_not_trusted(world):
    world.create(ROOM, ALICE)
    world.send(ROOM, ALICE, body="old")
    world.clock.ms += 86_400_000
    reads = world.reads
    await sync(world, ALICE, wanted={"room": {"timeline": {"limit": 1}}})
    first = world.reads - reads
    world.send(ROOM, ALICE, body="new")
    world.send(ROOM, ALICE, body="newer")
    reads = world.reads
    await sync(world, ALICE, wanted={"room": {"timeline": {"limit": 1}}})
    assert world.reads - reads < first
