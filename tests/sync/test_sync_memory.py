"""What sync keeps in memory: bounded, honest about its limits, and never behind what was published."""

import asyncio

from homeserver.core.positions import SyncToken
from homeserver.sync.lazy_members import LazyMembers
from homeserver.sync.live_users import LiveUsers
from homeserver.sync.room_cache import RoomCache
from tests.sync.sync_world import World

ALICE, BOB = "@alice:example.org", "@bob:example.org"
ROOM, OTHER = "!room:example.org", "!other:example.org"


def token(*changes):
    found = SyncToken()
    for change in changes:
        found = found.advance(change.position)
    return found


def filled(world, **bounds):
    cache = RoomCache(SyncToken(), **bounds)
    for change in sorted(
        (each for timeline in world.committed.values() for each in timeline), key=lambda each: each.position
    ):
        cache.append(change)
    return cache


def test_the_cache_knows_where_a_rooms_events_begin_to_be_missing():
    world = World()
    for number in range(6):
        world.send(ROOM, ALICE, body=str(number))
    changes = world.committed[ROOM]
    cache = filled(world, events_per_room_max=3)

    assert cache.after(ROOM, SyncToken()) is None
    assert cache.after(ROOM, token(changes[1])) is None
    assert len(cache.after(ROOM, token(changes[2]))) == 3
    assert cache.after(ROOM, token(changes[5])) == []


def test_a_room_that_had_to_go_is_unknown_before_its_last_event_and_quiet_after():
    world = World()
    world.send(ROOM, ALICE, body="1")
    world.send(OTHER, ALICE, body="2")
    (gone,), (kept,) = world.committed[ROOM], world.committed[OTHER]
    cache = filled(world, rooms_max=1)

    assert cache.after(ROOM, SyncToken()) is None
    assert cache.after(ROOM, token(gone)) == []
    assert len(cache.after(OTHER, token(gone))) == 1
    assert cache.after("!quiet:example.org", token(gone)) == []
    assert cache.after("!quiet:example.org", SyncToken()) is None
    assert kept.position > gone.position


def test_the_cache_is_bounded_by_events_in_all():
    world = World()
    for room_id in (ROOM, OTHER):
        for number in range(5):
            world.send(room_id, ALICE, body=str(number))
    cache = filled(world, events_max=7)

    assert cache.after(ROOM, SyncToken()) is None
    assert len(cache.after(OTHER, token(world.committed[ROOM][-1]))) == 5


def test_several_writers_each_have_their_place():
    first, second = World(writer_id=1), World(writer_id=2)
    first.send(ROOM, ALICE, body="1")
    second.clock.ms += 5
    second.send(ROOM, ALICE, body="2")
    cache = RoomCache(SyncToken())
    one, two = first.committed[ROOM][0], second.committed[ROOM][0]
    cache.append(one)
    cache.append(two)

    assert [shown.position for shown in cache.after(ROOM, token(one))] == [two.position]
    assert cache.after(ROOM, token(one, two)) == []


async def test_users_who_are_not_here_make_way_but_not_those_who_wait():
    world = World()
    users = LiveUsers(world, SyncToken, users_max=2)
    waiting = await users.find(ALICE)
    with waiting.waiting():
        for number in range(10):
            await users.find(f"@user{number}:example.org")
        assert await users.find(ALICE) is waiting
        assert len(users._users) <= 3
    for number in range(10):
        await users.find(f"@user{number}:example.org")
    assert ALICE not in users._users


async def test_a_member_event_that_comes_while_a_user_is_read_counts(world):
    world.create(ROOM, ALICE)
    go_on = asyncio.Event()
    rows = await world.memberships_of(BOB)

    async def slowly(user_id):
        await go_on.wait()
        return rows

    world.memberships_of = slowly
    found = asyncio.create_task(world.notifier.users.find(BOB))
    await asyncio.sleep(0)
    world.member(ROOM, BOB, "join")
    go_on.set()
    user = await found

    assert user.rooms[ROOM].membership == "join"
    with user.waiting() as waiter:
        world.send(ROOM, ALICE, body="news")
        assert await waiter.wait(0)


async def test_a_user_whose_read_failed_is_read_again(world):
    async def fails(user_id):
        raise ConnectionError

    good, world.memberships_of = world.memberships_of, fails
    for _ in range(2):
        try:
            await world.notifier.users.find(ALICE)
        except ConnectionError:
            world.memberships_of = good
    assert (await world.notifier.users.find(ALICE)).rooms == {}


def test_a_member_counts_as_told_only_from_the_token_on():
    lazy = LazyMembers(members_per_room_max=2, members_max=3)
    early, late = SyncToken({0: 5}), SyncToken({0: 9})
    lazy.tell(1, ROOM, [ALICE], late)

    assert lazy.untold(1, ROOM, [ALICE, BOB], late) == [BOB]
    assert lazy.untold(1, ROOM, [ALICE], early) == [ALICE]
    assert lazy.untold(1, ROOM, [ALICE], None) == [ALICE]
    assert lazy.untold(2, ROOM, [ALICE], late) == [ALICE]

    lazy.tell(1, ROOM, [BOB, "@carol:example.org"], late)
    assert lazy.untold(1, ROOM, [ALICE, BOB], late) == [ALICE]
    lazy.tell(1, OTHER, [ALICE, BOB], late)
    assert lazy.untold(1, ROOM, [BOB], late) == [BOB]
