"""Whatever happens, every sticky event reaches every client in the room, by /sync and by sliding sync."""

import random

import orjson
import pytest

from homeserver.core.errors import UnknownPos
from homeserver.core.event.sticky import sticky_until_ms
from homeserver.core.filters import parse_filter
from homeserver.sync.request import SyncRequest, parse_since
from tests.sync.sliding_world import StoredSlidingWorld, room_list
from tests.sync.sync_asking import ALICE, BOB
from tests.sync.sync_world import requester

ROOMS = ("!one:example.org", "!two:example.org", "!three:example.org")
NAME = "org.matrix.msc4354.sticky_events"
DURATIONS_MS = (20, 500, 3_600_000, 7_200_000)


class Told:
    """What one client of Bob's was told: event IDs, of which it forgets those of rooms that it is not in."""

    def __init__(self, world):
        self.world = world
        self.since = None
        self.told = {room_id: set() for room_id in ROOMS}

    def note(self, room_id, *parts):
        for events in parts:
            self.told[room_id] |= {event["event_id"] for event in events}

    def check(self):
        """Nothing that is sticky now was kept from the client."""
        for room_id in self.world.joined(BOB):
            due = {
                change.event.event_id
                for change in self.world.committed[room_id]
                if sticky_until_ms(change.event, change.position) > self.world.clock.ms
            }
            assert due <= self.told[room_id], room_id


class Classic(Told):
    async def ask(self, limit):
        wanted = {"room": {"timeline": {"limit": limit}}}
        request = SyncRequest(
            requester(BOB), filter=parse_filter(wanted), since=parse_since(self.since)
        )
        await self.world.store()
        answer = orjson.loads(await self.world.sync.respond(request))
        self.since = answer["next_batch"]
        for room_id, part in answer.get("rooms", {}).get("join", {}).items():
            stickies = part.get("msc4354_sticky", {"events": []})["events"]
            assert len(stickies) <= 100
            self.note(room_id, part.get("timeline", {"events": []})["events"], stickies)
        for room_id in answer.get("rooms", {}).get("leave", {}):
            self.told[room_id] = set()
        return parse_since(self.since).sticky_after is not None


class Sliding(Told):
    def __init__(self, world):
        super().__init__(world)
        self.pos = None

    async def ask(self, limit):
        extension = {"enabled": True, "limit": 5}
        if self.since is not None:
            extension["since"] = self.since
        body = room_list(last=1, limit=limit) | {"extensions": {NAME: extension}}
        answer = await self.world.ask(BOB, body, self.pos)
        part = answer["extensions"][NAME]
        self.pos, self.since = answer["pos"], part["next_batch"]
        for room_id, room in part["rooms"].items():
            assert len(room["events"]) <= 5
            self.note(room_id, room["events"])
        for room_id, room in answer["rooms"].items():
            self.note(room_id, room.get("timeline", []))
        for room_id in set(ROOMS) - self.world.joined(BOB):
            self.told[room_id] = set()
        return parse_since(self.since).sticky_after is not None


async def act(world, chance):
    room_id = chance.choice(ROOMS)
    what = chance.random()
    if what < 0.45:
        sender = chance.choice([ALICE, BOB] if room_id in world.joined(BOB) else [ALICE])
        for _ in range(chance.choice([1, 1, 1, 12])):
            world.send(room_id, sender, "m.rtc.member", sticky_ms=chance.choice(DURATIONS_MS))
    elif what < 0.65:
        for number in range(chance.randint(1, 8)):
            world.send(room_id, ALICE, body=str(number))
    elif what < 0.8:
        world.member(room_id, BOB, "leave" if room_id in world.joined(BOB) else "join")
    elif what < 0.87:
        stickies = [one.event for one in world.committed[room_id] if "msc4354_sticky" in one.event.pdu]
        if stickies:
            world.send(room_id, ALICE, "m.room.redaction", redacts=chance.choice(stickies).event_id)
    elif what < 0.95:
        world.clock.ms += chance.choice([10, 1_000, 1_800_000])
    else:
        await world.start()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("kind", [Classic, Sliding])
async def test_every_sticky_event_is_told(sliding, kind, seed):
    await go(sliding, kind, seed, steps=120)


@pytest.mark.parametrize("kind", [Classic, Sliding])
async def test_every_sticky_event_is_told_from_the_real_database(database, kind):
    world = StoredSlidingWorld(database)
    await world.start()
    await go(world, kind, 1, steps=60)
    world.stop()


async def go(world, kind, seed, *, steps):
    """Let things happen and ask now and then."""
    chance = random.Random(seed)
    for room_id in ROOMS:
        world.create(room_id, ALICE, chance.choice(["shared", "joined"]))
    client = kind(world)
    for _ in range(steps):
        for _ in range(chance.randint(1, 4)):
            await act(world, chance)
        if kind is Sliding and chance.random() < 0.1:
            client.pos = None
        more = await asked(client, chance)
        if not more:
            client.check()
    while await asked(client, chance):
        pass
    client.check()


async def asked(client, chance):
    try:
        return await client.ask(chance.choice([1, 3, 20]))
    except UnknownPos:
        client.pos = None
        return await client.ask(1)
