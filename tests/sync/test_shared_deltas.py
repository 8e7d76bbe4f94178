"""What is put together once for many readers: each is told what they would be told alone."""

import asyncio
import contextlib
import random

import orjson
import pytest

from homeserver.core.filters import parse_filter
from homeserver.core.requester import Requester
from homeserver.sync.assemble import Delta
from homeserver.sync.follow import Sync
from homeserver.sync.request import SyncRequest
from tests.sync.sync_world import World

USERS = [f"@user{number}:example.org" for number in range(4)]
ROOMS = ["!a:example.org", "!b:example.org"]
FILTERS = [
    {},
    {"room": {"state": {"lazy_load_members": True}}},
    {"room": {"timeline": {"not_types": ["m.reaction"]}}},
    {"room": {"rooms": ROOMS[:1]}},
]


class Reader:
    """A session that listens, and one beside it that looks for itself each time."""

    def __init__(self, number, user_id, wanted, *, use_state_after=False):
        self.user_id = user_id
        device = Requester(user_id, f"DEVICE{number}" if number > 4 else "DEVICE", number)
        self.request = SyncRequest(device, filter=parse_filter(wanted), use_state_after=use_state_after)
        self.told = []
        self.pushed = 0

    async def start(self, stack, world):
        self.follower = await stack.enter_async_context(world.sync.following(self.request))
        alone = Sync(reads=world.source, notifier=world.notifier, clock=world.clock)
        self.alone = await stack.enter_async_context(alone.following(self.request))
        await self.alone.look()
        self.task = asyncio.ensure_future(self._follow())

    async def _follow(self):
        while True:
            delta, more = await self.follower.look()
            if not delta.is_empty:
                self.told.append(delta.body)
            if not more:
                await self.follower.listen(self._tell)

    def _tell(self):
        delta = self.follower.glance()
        if not isinstance(delta, Delta):
            return delta
        self.pushed += 1
        if not delta.is_empty:
            self.told.append(delta.body)
        return True


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


def act(world, chance):
    room_id, user_id = chance.choice(ROOMS), chance.choice(USERS)
    action = chance.choice(["say"] * 6 + ["rename", "topic", "react", "ignore", "keep", "message", "redact"])
    if action == "say":
        world.send(room_id, user_id, body=str(chance.random()))
    elif action == "rename":
        world.member(room_id, user_id, "join", displayname=str(chance.random()))
    elif action == "topic":
        world.send(room_id, USERS[0], "m.room.topic", "", topic=str(chance.random()))
    elif action == "react":
        event_id = chance.choice(world.event_ids(room_id))
        relation = {"event_id": event_id, "rel_type": "m.annotation", "key": "x"}
        world.send(room_id, user_id, "m.reaction", **{"m.relates_to": relation})
    elif action == "ignore":
        world.ignore(user_id, *chance.sample(USERS, chance.randrange(2)))
    elif action == "keep":
        world.keep(user_id, "org.example", {"value": chance.random()})
    elif action == "message":
        world.message(user_id, text=str(chance.random()))
    else:
        said = [one.event for one in world.committed[room_id] if one.event.type == "m.room.message"]
        if said:
            event = chance.choice(said)
            world.send(room_id, event.sender, "m.room.redaction", redacts=event.event_id)


@pytest.mark.parametrize("seed", range(20))
async def test_each_reader_is_told_what_they_would_be_told_alone(seed):
    chance = random.Random(seed)
    world = World()
    for room_id in ROOMS:
        world.create(room_id, USERS[0])
        for user_id in USERS[1:]:
            world.member(room_id, user_id, "join")
    await world.start()
    readers = [
        Reader(number + 1, USERS[number % len(USERS)], chance.choice(FILTERS)) for number in range(12)
    ]
    async with contextlib.AsyncExitStack() as stack:
        for reader in readers:
            await reader.start(stack, world)
        await settle()
        for reader in readers:
            reader.told.clear()
        for _ in range(60):
            world.holds_back = chance.random() < 0.3
            for _ in range(chance.choice([1, 1, 1, 2, 5])):
                act(world, chance)
            world.holds_back = False
            world.publish()
            await settle()
            for reader in readers:
                delta, _ = await reader.alone.look()
                expected = [] if delta.is_empty else [orjson.loads(delta.body)]
                assert [orjson.loads(body) for body in reader.told] == expected
                reader.told.clear()
        for reader in readers:
            reader.task.cancel()
    assert sum(reader.pushed for reader in readers) > 10
    world.notifier.stop()


@pytest.fixture
async def world():
    world = World()
    world.create(ROOMS[0], USERS[0])
    for user_id in USERS[1:]:
        world.member(ROOMS[0], user_id, "join")
    await world.start()
    yield world
    world.notifier.stop()


async def test_many_readers_of_one_message_wake_one_task(world):
    readers = [Reader(number + 5, USERS[1 + number % 3], {}) for number in range(100)]
    async with contextlib.AsyncExitStack() as stack:
        for reader in readers:
            await reader.start(stack, world)
        await settle()
        for reader in readers:
            reader.told.clear()
        world.send(ROOMS[0], USERS[0], body="hello")
        await settle()
        for reader in readers:
            reader.task.cancel()

    assert sum(reader.pushed for reader in readers) == 99
    assert {id(body) for reader in readers for body in reader.told} == {id(readers[0].told[0])}


async def test_the_first_message_after_the_first_sync_is_shared_already(world):
    followers, pushed = [], []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(10):
            request = SyncRequest(Requester(USERS[1], f"DEVICE{number}", number), filter=parse_filter({}))
            followers.append(await stack.enter_async_context(world.sync.following(request)))
            await followers[-1].look()
        world.send(ROOMS[0], USERS[0], body="hello")
        await followers[0].look()
        pushed = [follower.glance() for follower in followers[1:]]

    assert len({id(delta) for delta in pushed}) == 1
    assert isinstance(pushed[0], Delta)


@pytest.mark.parametrize("use_state_after", [False, True])
async def test_a_speaker_is_introduced_once_to_all_who_do_not_know_them(world, use_state_after):
    lazy = {"room": {"timeline": {"limit": 1}, "state": {"lazy_load_members": True}}}
    world.send(ROOMS[0], USERS[2], body="known to all")
    readers = [Reader(number + 5, USERS[1], lazy, use_state_after=use_state_after) for number in range(100)]
    async with contextlib.AsyncExitStack() as stack:
        for reader in readers:
            await reader.start(stack, world)
        await settle()
        pushed = []
        for sender in (USERS[0], USERS[0], USERS[2]):
            for reader in readers:
                reader.told.clear()
                reader.pushed = 0
            world.send(ROOMS[0], sender, body="hello")
            await settle()
            pushed.append(sum(reader.pushed for reader in readers))
            for reader in readers:
                delta, _ = await reader.alone.look()
                assert [orjson.loads(body) for body in reader.told] == [orjson.loads(delta.body)]
        for reader in readers:
            reader.task.cancel()

    assert pushed == [99, 99, 99]


async def test_what_a_session_sent_itself_is_told_with_its_transaction_id(world):
    readers = [Reader(number, USERS[0], {}) for number in (1, 5, 6)]
    async with contextlib.AsyncExitStack() as stack:
        for reader in readers:
            await reader.start(stack, world)
        await settle()
        world.holds_back = True
        world.send(ROOMS[0], USERS[0], body="hello")
        world.unpublished[-1].session_id, world.unpublished[-1].transaction_id = 5, "mine"
        world.publish()
        await settle()
        for reader in readers:
            reader.task.cancel()

    events = [
        orjson.loads(reader.told[-1])["rooms"]["join"][ROOMS[0]]["timeline"]["events"][-1]
        for reader in readers
    ]
    assert [event["unsigned"].get("transaction_id") for event in events] == [None, "mine", None]
