"""What of the threads that a user follows is told, from memory and from what is stored."""

import orjson

from homeserver.core.positions import SyncToken
from homeserver.sync.request import SyncRequest
from homeserver.sync.thread_news import ENTRIES_MAX
from tests.sync.sync_asking import ALICE, BOB, ROOM
from tests.sync.sync_world import requester

NAME = "io.element.msc4308.thread_subscriptions"
PAGE = 3


def asked(since=None, threads_max=PAGE):
    since = None if since is None else SyncToken.parse(since)
    return SyncRequest(requester(ALICE), since=since, events_max=PAGE, threads_max=threads_max)


async def told(follower):
    """What the next delta tells of threads, and the delta."""
    delta, _ = await follower.look()
    body = orjson.loads(delta.body)
    return body.get(NAME), body


async def test_a_live_follower_is_told_without_a_read(world):
    world.create(ROOM, ALICE)
    async with world.sync.following(asked()) as follower:
        assert (await told(follower))[0] is None
        world.send(ROOM, ALICE, body="by then it is known that nothing waits")
        await follower.look()
        reads = world.reads
        world.follow_thread(ALICE, ROOM, "$one")
        world.follow_thread(BOB, ROOM, "$two")
        threads, _ = await told(follower)
        assert set(threads["subscribed"][ROOM]) == {"$one"}
        assert (await told(follower))[0] is None
        assert world.reads == reads


async def test_the_newest_are_told_and_where_to_find_the_others(world):
    world.create(ROOM, ALICE)
    for number in range(5):
        world.follow_thread(ALICE, ROOM, f"${number}")
    async with world.sync.following(asked()) as follower:
        first, body = await told(follower)
        assert set(first["subscribed"][ROOM]) == {"$4", "$3", "$2"}
        assert first["prev_batch"] == f"p{world.threads[ALICE, ROOM, '$2'].position - 1}"
        for number in range(PAGE):
            world.follow_thread(ALICE, ROOM, f"${number}", is_subscribed=False)
        exact, _ = await told(follower)
        assert set(exact["unsubscribed"][ROOM]) == {"$0", "$1", "$2"}
        assert "prev_batch" not in exact
    async with world.sync.following(asked(body["next_batch"], threads_max=2)) as follower:
        again, _ = await told(follower)
        assert set(again["unsubscribed"][ROOM]) == {"$2", "$1"}
        assert "prev_batch" in again


async def test_of_more_than_is_remembered_the_newest_are_told(world):
    world.create(ROOM, ALICE)
    async with world.sync.following(asked()) as follower:
        await follower.look()
        for number in range(ENTRIES_MAX + 1):
            world.follow_thread(ALICE, ROOM, f"${number}")
        threads, _ = await told(follower)
    assert set(threads["subscribed"][ROOM]) == {f"${ENTRIES_MAX - number}" for number in range(PAGE)}
    assert "prev_batch" in threads


async def test_a_page_of_a_backlog_tells_what_changed_within_it(world):
    world.create(ROOM, ALICE)
    async with world.sync.following(asked()) as follower:
        await follower.look()
        for number in range(PAGE):
            world.send(ROOM, ALICE, body=str(number))
        world.follow_thread(ALICE, ROOM, "$late")
        world.send(ROOM, ALICE, body="last")
        first, _ = await told(follower)
        second, _ = await told(follower)
    assert first is None
    assert set(second["subscribed"][ROOM]) == {"$late"}


async def test_what_was_committed_and_not_published_yet_is_told_later(world):
    world.create(ROOM, ALICE)
    async with world.sync.following(asked()) as follower:
        world.holds_back = True
        world.follow_thread(ALICE, ROOM, "$ahead")
        assert (await told(follower))[0] is None
        world.publish()
        threads, _ = await told(follower)
    assert set(threads["subscribed"][ROOM]) == {"$ahead"}
