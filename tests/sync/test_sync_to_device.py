"""Messages to devices in `/sync`: each once, in order, until the client says that it was told."""

import asyncio

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.positions import PartialToken, SyncToken
from homeserver.sync.request import SyncRequest, parse_since
from tests.sync.sync_asking import ALICE, BOB, ROOM, sync
from tests.sync.sync_world import World, requester

MANY = 250


def told(answer):
    return answer.get("to_device", {}).get("events", [])


async def test_a_message_is_told_once_and_only_to_its_device(world):
    since = {user_id: (await sync(world, user_id))["next_batch"] for user_id in (ALICE, BOB)}
    event = world.message(ALICE, n=1)

    answer = await sync(world, ALICE, since[ALICE])
    assert told(answer) == [event]
    assert "to_device" not in await sync(world, ALICE, answer["next_batch"])
    assert "to_device" not in await sync(world, BOB, since[BOB])


async def test_it_is_told_again_until_the_client_shows_that_it_got_it(world):
    since = (await sync(world, ALICE))["next_batch"]
    event = world.message(ALICE, n=1)

    for _ in range(3):
        answer = await sync(world, ALICE, since)
        assert told(answer) == [event]
    world.sweep()
    assert world.inboxes[ALICE, "DEVICE"] != {}
    await sync(world, ALICE, answer["next_batch"])
    world.sweep()
    assert world.inboxes[ALICE, "DEVICE"] == {}


async def test_a_first_sync_has_what_waits_and_acknowledges_nothing(world):
    events = [world.message(ALICE, n=number) for number in range(3)]

    assert told(await sync(world, ALICE)) == events
    world.sweep()
    assert told(await sync(world, ALICE)) == events


async def test_a_live_client_with_nothing_waiting_reads_nothing(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    since = (await sync(world, ALICE, since))["next_batch"]
    world.reads = 0
    for number in range(5):
        world.send(ROOM, ALICE, "m.room.message", body="x")
        event = world.message(ALICE, n=number)
        answer = await sync(world, ALICE, since)
        since = answer["next_batch"]
        assert told(answer) == [event]
        assert ROOM in answer["rooms"]["join"]

    assert world.reads == 0


@pytest.mark.parametrize("live", [True, False])
async def test_many_come_a_hundred_at_a_time_and_at_once(world, live):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"] if live else None
    events = [world.message(ALICE, n=number) for number in range(MANY)]
    if not live:
        await world.start()
    sizes = []
    found = []
    while not sizes or sizes[-1]:
        answer = await sync(world, ALICE, since, timeout_ms=0)
        since = answer["next_batch"]
        sizes.append(len(told(answer)))
        found += told(answer)

    assert found == events
    assert sizes == [100, 100, 50, 0]
    world.sweep()
    assert world.inboxes[ALICE, "DEVICE"] == {}


async def test_a_part_is_not_acknowledged_as_the_whole(world):
    events = [world.message(ALICE, n=number) for number in range(MANY)]
    first = await sync(world, ALICE)
    assert isinstance(SyncToken.parse(first["next_batch"]), PartialToken)
    second = await sync(world, ALICE, first["next_batch"])
    world.sweep()
    await world.start()  # whatever was in memory is gone

    assert len(world.inboxes[ALICE, "DEVICE"]) == MANY - 100
    assert told(await sync(world, ALICE, first["next_batch"])) == told(second) == events[100:200]


async def test_large_ones_come_fewer_at_a_time(world):
    for _ in range(30):
        world.message(ALICE, text="x" * 60_000)
    since, sizes = None, []
    while sum(sizes) < 30:
        answer = await sync(world, ALICE, since)
        since = answer["next_batch"]
        sizes.append(len(told(answer)))

    assert max(sizes) <= 17
    assert sum(sizes) == 30


async def test_a_poll_wakes_for_its_device_alone(world):
    since = {user_id: (await sync(world, user_id))["next_batch"] for user_id in (ALICE, BOB)}
    polls = {
        user_id: asyncio.ensure_future(sync(world, user_id, since[user_id], timeout_ms=30_000))
        for user_id in (ALICE, BOB)
    }
    for _ in range(5):
        await asyncio.sleep(0)
    event = world.message(ALICE)

    assert told(await polls[ALICE]) == [event]
    assert not polls[BOB].done()
    world.message(BOB)
    assert len(told(await polls[BOB])) == 1


async def test_what_is_committed_but_not_published_waits(world):
    since = (await sync(world, ALICE))["next_batch"]
    world.holds_back = True
    event = world.message(ALICE)
    await world.start_without_publishing()

    answer = await sync(world, ALICE, since)
    assert told(answer) == []
    world.publish()
    assert told(await sync(world, ALICE, answer["next_batch"])) == [event]


async def test_who_logs_in_anew_on_a_device_hears_only_what_storage_has(world):
    await sync(world, ALICE)
    world.message(ALICE)
    del world.inboxes[ALICE, "DEVICE"]  # with the device

    assert told(await sync(world, ALICE, session_id=2)) == []


async def test_a_stream_goes_on_before_it_is_acknowledged_and_resumes_from_there(world):
    events = [world.message(ALICE, n=number) for number in range(MANY)]
    found, tokens = [], []
    async with world.sync.following(SyncRequest(requester(ALICE))) as follower:
        more = True
        while more:
            delta, more = await follower.look()
            found += told(orjson.loads(delta.body))
            tokens.append(delta.token.encode())
        assert found == events
        world.sweep()
        assert len(world.inboxes[ALICE, "DEVICE"]) == MANY
        follower.acknowledge(tokens[0])
        world.sweep()
    assert len(world.inboxes[ALICE, "DEVICE"]) == MANY - 100

    again = SyncRequest(requester(ALICE), since=parse_since(tokens[0]))
    async with world.sync.following(again) as follower:
        delta, _ = await follower.look()
    assert told(orjson.loads(delta.body)) == events[100:200]


class Story:
    """One device, what was sent to it, and what it was told; each step is a method."""

    def __init__(self, writers):
        self.world = World()
        self.writers = [self.world.snowflakes, World(writer_id=7).snowflakes][:writers]
        self.sent = []
        self.found = []
        self.since = None

    async def send(self):
        self.world.snowflakes = self.writers[len(self.sent) % len(self.writers)]
        self.sent.append(self.world.message(ALICE, n=len(self.sent)))

    async def send_many(self):
        for _ in range(120):
            await self.send()

    async def sync(self):
        answer = await sync(self.world, ALICE, self.since)
        self.since = answer["next_batch"]
        self.found += told(answer)
        return told(answer)

    async def lose_an_answer(self):
        await sync(self.world, ALICE, self.since)

    async def sweep(self):
        self.world.sweep()

    async def restart(self):
        self.world.holds_back = False
        await self.world.start()

    async def forget(self):
        self.world.notifier.inboxes.of(requester(ALICE)).forget()

    async def hold_back(self):
        self.world.holds_back = True

    async def publish(self):
        self.world.holds_back = False
        self.world.publish()


STEPS = [
    "send", "send_many", "sync", "lose_an_answer", "sweep", "restart", "forget", "hold_back", "publish"
]  # fmt: skip


@given(steps=st.lists(st.sampled_from(STEPS), max_size=40), writers=st.integers(1, 2))
async def test_each_message_once_and_in_order_whatever_happens(steps, writers):
    story = Story(writers)
    await story.world.start()
    for step in steps:
        await getattr(story, step)()
    await story.publish()
    while await story.sync():
        pass

    assert story.found == story.sent
    await story.sync()
    await story.sweep()
    assert not story.world.inboxes.get((ALICE, "DEVICE"))
    story.world.notifier.stop()
