"""Device lists in sync: noted for who is here, read for who comes back, and the same by both roads."""

import random

import pytest

from homeserver.core.changes import DeviceListChange, KeyCountsChange
from homeserver.core.positions import SnowflakeClock, SyncToken
from homeserver.sync.device_list_news import ENTRIES_MAX, DeviceListNews
from homeserver.sync.live_key_counts import LiveKeyCounts
from storage.tables.one_time_keys import KeyCounts
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM, sync, sync_whole
from tests.sync.sync_world import requester

USERS = (ALICE, BOB, CAROL)
ROOMS = (ROOM, "!second:example.org", "!third:example.org")


async def change(world, user_id, told_to=None):
    """Commit and publish a change of somebody's devices, as the service does it."""
    async with world.notifier.device_lists.admitted(user_id):
        world.clock.ms += 1
        position = world.snowflakes.next(world.clock.ms)
        world.devices.changes[user_id, told_to] = position
        world.bus.publish([DeviceListChange(position, user_id, told_to)])


def lists(answer):
    found = answer.get("device_lists", {"changed": [], "left": []})
    return found["changed"], found["left"]


async def test_a_live_client_is_told_without_a_read(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    tokens = {user_id: (await sync(world, user_id))["next_batch"] for user_id in USERS}
    reads = world.reads

    await change(world, BOB)
    await change(world, CAROL, told_to=ALICE)

    told = {user_id: lists(await sync(world, user_id, token)) for user_id, token in tokens.items()}
    assert told == {ALICE: ([BOB, CAROL], []), BOB: ([BOB], []), CAROL: ([], [])}
    world.member(ROOM, BOB, "leave")
    answer = await sync(world, ALICE, tokens[ALICE])
    assert lists(answer) == ([CAROL], [BOB])
    assert world.reads == reads


async def test_of_who_is_not_here_it_takes_one_read_to_know_that_they_are_gone(world):
    for room_id in ROOMS[:2]:
        world.create(room_id, ALICE)
        for user_id in (BOB, CAROL):
            world.member(room_id, user_id, "join")
    since = (await sync(world, ALICE))["next_batch"]
    reads = world.reads
    world.member(ROOM, BOB, "leave")
    world.member(ROOM, CAROL, "leave")
    world.member(ROOMS[1], CAROL, "leave")

    assert lists(await sync(world, ALICE, since)) == ([], [CAROL])
    assert world.reads == reads + 1


async def test_a_change_that_is_only_about_devices_is_told_though_the_filter_wants_no_room(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    await change(world, ALICE)

    answer = await sync(world, ALICE, since, {"room": {"rooms": []}})

    assert lists(answer) == ([ALICE], [])


async def test_a_complete_sync_names_nobody(world):
    world.create(ROOM, ALICE)
    await change(world, ALICE)

    assert "device_lists" not in await sync(world, ALICE)


@pytest.mark.parametrize("seed", range(40))
async def test_who_comes_back_is_told_what_who_was_here_has_been(world, seed):
    """Whoever is to be asked for or forgotten in the end is told of by both roads."""
    chance = random.Random(seed)
    for room_id in ROOMS:
        world.create(room_id, chance.choice(USERS))
    started = {user_id: (await sync(world, user_id))["next_batch"] for user_id in USERS}
    shared = {user_id: companions(world, user_id) for user_id in USERS}
    tokens, changed, known = dict(started), set(), {user_id: set(shared[user_id]) for user_id in USERS}
    for _ in range(30):
        if chance.random() < 0.3:
            user_id = chance.choice(USERS)
            await change(world, user_id)
            changed |= {(reader, user_id) for reader in {user_id, *companions(world, user_id)}}
        else:
            membership = chance.choice(("join", "leave", "invite"))
            world.member(chance.choice(ROOMS), chance.choice(USERS), membership)
        for user_id in USERS:
            if chance.random() < 0.4:
                answer = await sync(world, user_id, tokens[user_id])
                tokens[user_id] = answer["next_batch"]
                follow(known[user_id], answer)
                assert known[user_id] - {user_id} == companions(world, user_id)
    await world.start()
    for user_id in USERS:
        now, left = lists(await sync(world, user_id, started[user_id]))
        gained = companions(world, user_id) - shared[user_id]
        assert gained <= set(now)
        assert {one for reader, one in changed if reader == user_id} & companions(world, user_id) <= set(now)
        assert shared[user_id] - companions(world, user_id) == set(left)
        assert not set(left) & companions(world, user_id)
        assert set(now) - {user_id} <= companions(world, user_id)


def companions(world, user_id):
    rooms = world.joined(user_id)
    return {other for other in USERS if other != user_id and rooms & world.joined(other)}


def follow(known, answer):
    now, left = lists(answer)
    assert not set(now) & set(left)
    known |= set(now)
    known -= set(left)


def test_news_say_where_their_knowledge_ends():
    clock = SnowflakeClock(1)
    floor = SyncToken().advance(clock.next(1))
    news = DeviceListNews(floor)
    assert news.after(SyncToken(), floor) is None
    assert news.is_quiet_since(floor)
    positions = [clock.next(2) for _ in range(ENTRIES_MAX + 1)]
    for number, position in enumerate(positions):
        news.note_changed(f"@u{number}:here", position)
    now = floor.advance(positions[-1])

    assert news.after(floor, now) is None, "the first had to go"
    found = news.after(floor.advance(positions[0]), now)
    assert found.changed == [f"@u{number}:here" for number in range(1, ENTRIES_MAX + 1)]
    assert news.after(floor.advance(positions[-2]), floor.advance(positions[-2])).changed == []
    assert not news.is_quiet_since(floor)
    assert news.is_quiet_since(now)
    news.note_gone("@u5:here", positions[5])
    news.note_changed("@u5:here", clock.next(3))
    assert news.after(floor.advance(positions[0]), now).gone == ["@u5:here"]
    news.note_met("@u5:here", clock.next(4))
    assert news.after(floor.advance(positions[0]), now).gone == []


async def test_counts_of_keys_are_in_every_answer_and_read_once(world):
    world.devices.counts[ALICE, "DEVICE"] = KeyCounts({"signed_curve25519": 7}, ["signed_curve25519"])
    first = await sync_whole(world, ALICE)
    reads = world.reads
    second = await sync_whole(world, ALICE, first["next_batch"])

    for answer in (first, second):
        assert answer["device_one_time_keys_count"] == {"signed_curve25519": 7}
        assert answer["device_unused_fallback_key_types"] == ["signed_curve25519"]
    assert world.reads == reads


async def test_counts_that_change_while_they_are_read_are_read_again(world):
    counts = LiveKeyCounts(world, world.notifier.users)
    read = world.devices.key_counts

    async def late(*key):
        found = await read(*key)
        counts.take_in(KeyCountsChange(world.snowflakes.next(world.clock.ms), *key))
        world.devices.counts[key] = KeyCounts({"signed_curve25519": 1}, [])
        return found

    world.devices.key_counts = late
    assert b'{"signed_curve25519":0}' in await counts.part(requester(ALICE))
    world.devices.key_counts = read
    assert b'{"signed_curve25519":1}' in await counts.part(requester(ALICE))


async def test_only_so_many_counts_are_remembered(world):
    counts = LiveKeyCounts(world, world.notifier.users, devices_max=2)
    for user_id in USERS:
        await counts.part(requester(user_id))
    reads = world.reads
    await counts.part(requester(CAROL))
    assert world.reads == reads
    await counts.part(requester(ALICE))
    assert world.reads == reads + 1
    for user_id in USERS:
        counts.take_in(KeyCountsChange(world.snowflakes.next(world.clock.ms), user_id, "DEVICE"))
    assert [counts.is_news(requester(user_id), SyncToken()) for user_id in USERS] == [False, True, True]
