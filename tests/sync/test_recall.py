"""Who comes back after a restart is told everything in order, in pages, as without one."""

import random

import pytest

from homeserver.core.positions import SyncToken
from homeserver.sync import recall
from homeserver.sync.live_users import RECENT_PER_USER_MAX
from homeserver.sync.request import SyncRequest
from tests.sync.sliding_world import SlidingWorld, StoredSlidingWorld
from tests.sync.sync_client import Client
from tests.sync.sync_world import requester

ALICE, BOB = "@alice:example.org", "@bob:example.org"
ROOMS = [f"!room{number}:example.org" for number in range(4)]
PAGE = 5


@pytest.fixture(params=["memory", "stored"])
async def world(request, database):
    world = StoredSlidingWorld(database) if request.param == "stored" else SlidingWorld()
    await world.start()
    yield world
    world.stop()


async def follow(world, client, page=PAGE):
    """Let a client come and go on until there is no more; returns how many events each delta brought."""
    await world.store()
    since = None if client.since is None else SyncToken.parse(client.since)
    request = SyncRequest(requester(ALICE), since=since, timeline_limit_default=page, events_max=page)
    sizes, more = [], True
    async with world.sync.following(request) as follower:
        while more:
            told = {room_id: len(room.timeline) for room_id, room in client.joined.items()}
            delta, more = await follower.look()
            client.apply(delta.body)
            sizes.append(
                sum(len(room.timeline) - told.get(room_id, 0) for room_id, room in client.joined.items())
            )
    return sizes


def gaps(client):
    return sum(room.gaps for room in client.joined.values())


async def come_first(world):
    for room_id in ROOMS:
        world.create(room_id, ALICE)
        world.member(room_id, BOB, "join")
    client = Client()
    await follow(world, client)
    return client, gaps(client)


async def test_what_was_missed_comes_in_pages(world):
    client, gaps_before = await come_first(world)
    chance = random.Random(7)
    for number in range(50):
        world.send(chance.choice(ROOMS), BOB, body=str(number))
    await world.start()

    sizes = await follow(world, client)

    assert sizes == [PAGE] * 10
    assert gaps(client) == gaps_before
    for room_id, room in client.joined.items():
        assert room.timeline == world.event_ids(room_id)[-len(room.timeline) :]


async def test_what_happens_while_pages_are_told_follows(world):
    client, gaps_before = await come_first(world)
    for number in range(12):
        world.send(ROOMS[0], BOB, body=str(number))
    await world.start()
    request = SyncRequest(
        requester(ALICE), since=SyncToken.parse(client.since), timeline_limit_default=PAGE, events_max=PAGE
    )
    async with world.sync.following(request) as follower:
        for number in range(3):
            delta, more = await follower.look()
            client.apply(delta.body)
            for _ in range(3):
                world.send(ROOMS[number], BOB, body="meanwhile")
            await world.store()
        while more:
            delta, more = await follower.look()
            client.apply(delta.body)
    assert gaps(client) == gaps_before
    for room_id, room in client.joined.items():
        assert room.timeline == world.event_ids(room_id)[-len(room.timeline) :]


async def test_a_room_is_told_until_the_user_left_it_and_one_that_was_joined_whole(world):
    client, gaps_before = await come_first(world)
    for number in range(8):
        world.send(ROOMS[0], BOB, body=str(number))
    world.member(ROOMS[0], ALICE, "leave")
    told = world.event_ids(ROOMS[0])
    for number in range(8):
        world.send(ROOMS[0], BOB, body=f"behind {number}")
    world.create("!new:example.org", BOB)
    world.member("!new:example.org", ALICE, "invite")
    world.create("!joined:example.org", BOB)
    world.member("!joined:example.org", ALICE, "join")
    world.send("!joined:example.org", BOB, body="welcome")
    held = list(client.joined[ROOMS[0]].timeline)
    await world.start()

    await follow(world, client)

    assert ROOMS[0] not in client.joined
    assert (held + client.left[ROOMS[0]].timeline)[-8:] == told[-8:]
    assert set(client.invited) == {"!new:example.org"}
    assert client.joined["!joined:example.org"].timeline[-1] == world.event_ids("!joined:example.org")[-1]
    assert gaps(client) == gaps_before + 1  # of the new room the client has no beginning


async def test_a_receipt_in_a_quiet_room_is_told(world):
    client, _ = await come_first(world)
    world.send(ROOMS[0], BOB, body="news")
    read = world.event_ids(ROOMS[1])[0]
    world.read_up_to(ROOMS[1], BOB, read)
    await world.store()
    await world.start()
    request = SyncRequest(requester(ALICE), since=SyncToken.parse(client.since), events_max=PAGE)
    async with world.sync.following(request) as follower:
        delta, _ = await follower.look()
    assert read.encode() in delta.body
    assert b"m.receipt" in delta.body


@pytest.mark.parametrize(("beyond", "is_gap"), [(0, False), (1, True)])
async def test_of_very_much_there_is_a_gap(beyond, is_gap):
    missed = RECENT_PER_USER_MAX + beyond
    world = SlidingWorld()
    await world.start()
    client, gaps_before = await come_first(world)
    for number in range(missed):
        world.send(ROOMS[0], BOB, body=str(number))
    await world.start()

    sizes = await follow(world, client, page=100)

    assert gaps(client) == gaps_before + is_gap
    assert len(sizes) == (1 if is_gap else 10)
    world.stop()


async def test_what_is_old_is_a_gap(monkeypatch):
    world = SlidingWorld()
    await world.start()
    client, gaps_before = await come_first(world)
    monkeypatch.setattr(recall, "MISSED_MS_MAX", 1_000)
    for number in range(20):
        world.clock.ms += 50
        world.send(ROOMS[0], BOB, body=str(number))
    await world.start()
    await follow(world, client)
    assert gaps(client) == gaps_before + 1
    world.stop()


async def test_two_devices_of_a_user_come_back_at_once_from_different_places(world):
    early, gaps_before = await come_first(world)
    late = Client()
    for number in range(8):
        world.send(ROOMS[0], BOB, body=str(number))
    await follow(world, late)
    late_gaps = gaps(late)
    for number in range(8):
        world.send(ROOMS[1], BOB, body=str(number))
    await world.start()
    await follow(world, late)
    await follow(world, early)
    assert gaps(late) == late_gaps
    assert gaps(early) == gaps_before
    assert early.joined[ROOMS[0]].timeline[-8:] == world.event_ids(ROOMS[0])[-8:]


async def test_who_has_heard_of_everything_reads_nothing_for_it():
    world = SlidingWorld()
    await world.start()
    client, _ = await come_first(world)
    request = SyncRequest(
        requester(ALICE), since=SyncToken.parse(client.since), timeline_limit_default=PAGE, events_max=PAGE
    )
    async with world.sync.following(request) as follower:
        await follower.look()
        reads = world.reads
        for number in range(30):
            world.send(ROOMS[0], BOB, body=str(number))
        more = True
        while more:
            _, more = await follower.look()
        assert world.reads == reads
    world.stop()
