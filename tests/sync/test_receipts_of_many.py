"""Receipts in rooms with many readers: told in moments, none lost, and one's own at once."""

import asyncio
import contextlib

import orjson
import pytest

from homeserver.sync.assemble import Delta
from homeserver.sync.gathering import GATHER_S, GATHERED_READERS_MIN, RoomGathering
from homeserver.sync.request import SyncRequest
from tests.sync.later import Later
from tests.sync.sliding_world import SlidingWorld
from tests.sync.sync_world import requester

ROOM, OTHER = "!room:example.org", "!other:example.org"
USERS = [f"@user{number}:example.org" for number in range(GATHERED_READERS_MIN)]


class Reader:
    """A session that listens, and what it was told: (user ID, event ID) of receipts."""

    def __init__(self, user_id, session_id):
        self.user_id = user_id
        self.request = SyncRequest(requester(user_id, session_id))
        self.receipts = []
        self.texts = []
        self.looks = self.pushed = 0

    async def start(self, stack, world):
        self.follower = await stack.enter_async_context(world.sync.following(self.request))
        self.task = asyncio.ensure_future(self._follow())

    async def _follow(self):
        while True:
            delta, more = await self.follower.look()
            self.looks += 1
            self._take(delta)
            if not more:
                await self.follower.listen(self._tell)

    def _tell(self):
        delta = self.follower.glance()
        if not isinstance(delta, Delta):
            return delta
        self.pushed += 1
        self._take(delta)
        return True

    def _take(self, delta):
        for part in orjson.loads(delta.body).get("rooms", {}).get("join", {}).values():
            for event in part.get("timeline", {"events": []})["events"]:
                self.texts.append(event["content"].get("body"))
            for event in part.get("ephemeral", {"events": []})["events"]:
                for event_id, kinds in event["content"].items():
                    self.receipts += [(user_id, event_id) for kind in kinds.values() for user_id in kind]


async def settle():
    for _ in range(400):
        await asyncio.sleep(0)


@pytest.fixture(params=[len(USERS), len(USERS) - 1])
async def here(request):
    """A room of many, or of one too few to be many, all of them here; and the clock."""
    world = SlidingWorld()
    users = USERS[: request.param]
    for room_id in (ROOM, OTHER):
        world.create(room_id, users[0])
    for user_id in users[1:]:
        world.member(ROOM, user_id, "join")
    world.member(OTHER, users[1], "join")
    await world.start()
    later = Later()
    live = world.notifier.users
    live.receipts = RoomGathering(live._ring_room, GATHER_S, later)
    async with contextlib.AsyncExitStack() as stack:
        readers = [Reader(user_id, number) for number, user_id in enumerate(users)]
        readers.append(Reader(users[2], 1_000))  # another device
        for reader in readers:
            await reader.start(stack, world)
        await settle()
        for _ in range(2):  # by then it is known that nothing waits for the devices
            world.send(ROOM, users[0], body="first")
            await settle()
        for reader in readers:
            reader.receipts, reader.texts, reader.looks, reader.pushed = [], [], 0, 0
        yield world, readers, later
        for reader in readers:
            reader.task.cancel()
    world.stop()


@pytest.fixture
def is_large(here):
    return len(here[1]) > GATHERED_READERS_MIN


async def test_the_first_is_told_at_once_and_the_others_in_one_go(here, is_large):
    world, readers, later = here
    said = world.event_ids(ROOM)[-1]
    world.read_up_to(ROOM, readers[0].user_id, said)
    await settle()
    assert all(reader.receipts == [(readers[0].user_id, said)] for reader in readers)

    everybody = sorted((reader.user_id, said) for reader in readers[:-1])
    for reader in readers[1:-1]:
        world.read_up_to(ROOM, reader.user_id, said)
        await settle()
    told = [len(reader.receipts) for reader in readers]
    # One's own are told at once, with those that came before.
    assert told[3] == (4 if is_large else len(everybody))
    assert told[0] == (1 if is_large else len(everybody))
    later.advance(GATHER_S)
    await settle()
    assert all(sorted(reader.receipts) == everybody for reader in readers)
    if is_large:
        # Of the others, nearly all were told without a look of their own.
        assert sum(reader.looks for reader in readers) < 5 * len(readers)
        assert all(reader.looks + reader.pushed <= 4 for reader in readers)


async def test_ones_own_devices_are_told_at_once(here):
    world, readers, _ = here
    said = world.event_ids(ROOM)[-1]
    world.read_up_to(ROOM, readers[5].user_id, said)
    await settle()
    world.read_up_to(ROOM, readers[2].user_id, said)
    await settle()
    assert (readers[2].user_id, said) in readers[2].receipts
    assert (readers[2].user_id, said) in readers[-1].receipts


async def test_a_private_receipt_is_told_to_its_user_at_once(here):
    world, readers, _ = here
    said = world.event_ids(ROOM)[-1]
    world.read_up_to(ROOM, readers[2].user_id, said, "m.read.private")
    world.read_up_to(ROOM, readers[5].user_id, said, "m.read.private")
    await settle()
    assert readers[2].receipts == readers[-1].receipts == [(readers[2].user_id, said)]
    assert readers[0].receipts == []


async def test_what_waits_comes_with_the_next_message_and_nobody_is_woken_for_it_again(here, is_large):
    world, readers, later = here
    said = world.event_ids(ROOM)[-1]
    for number in (3, 4, 5):
        world.read_up_to(ROOM, readers[number].user_id, said)
        await settle()
    world.send(ROOM, readers[0].user_id, body="news")
    await settle()
    expected = [(readers[number].user_id, said) for number in (3, 4, 5)]
    assert all(sorted(reader.receipts) == sorted(expected) for reader in readers)
    assert all(reader.texts == ["news"] for reader in readers)
    turns = [reader.looks + reader.pushed for reader in readers]
    later.advance(5 * GATHER_S)
    await settle()
    assert [reader.looks + reader.pushed for reader in readers] == turns
    assert len(set(turns)) > 1 or not is_large


async def test_who_was_told_something_else_meanwhile_misses_nothing(here):
    world, readers, later = here
    said = world.event_ids(ROOM)[-1]
    expected = []
    for number in (3, 4, 5, 6):
        world.read_up_to(ROOM, readers[number].user_id, said)
        expected.append((readers[number].user_id, said))
        world.send(OTHER, readers[0].user_id, body=str(number))  # which only two are in
        await settle()
    later.advance(GATHER_S)
    await settle()
    assert all(sorted(reader.receipts) == sorted(expected) for reader in readers)
    assert readers[1].texts == readers[0].texts == ["3", "4", "5", "6"]


async def test_a_poll_that_begins_meanwhile_is_answered_at_once(here):
    world, readers, _ = here
    said = world.event_ids(ROOM)[-1]
    since = world.notifier.heard
    for number in (3, 4):
        world.read_up_to(ROOM, readers[number].user_id, said)
    request = SyncRequest(requester(readers[7].user_id, 2_000), since=since, timeout_ms=30_000)
    body = await asyncio.wait_for(world.sync.respond(request), 10)
    assert readers[3].user_id.encode() in body
    assert readers[4].user_id.encode() in body
