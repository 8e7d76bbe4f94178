"""Device lists against a simple model: what is told since any token, however old, whatever happened since."""

import random
from dataclasses import dataclass, field

import pytest

from homeserver.core.changes import DeviceListChange
from tests.sync.stored_world import StoredWorld
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM, sync

DAVE = "@dave:example.org"
USERS = (ALICE, BOB, CAROL, DAVE)
ROOMS = (ROOM, "!second:example.org", "!third:example.org")


@dataclass
class Token:
    """What was so when a token was given, and what happened since.

    Attributes:
        since: as the client has it.
        shared: who shared a room with the reader.
        changed: whose devices changed.
        told: of whose change the reader alone is told.
        moved: who came into a room, by room.
    """

    since: str
    shared: set
    changed: set = field(default_factory=set)
    told: set = field(default_factory=set)
    moved: set = field(default_factory=set)


class Model:
    """Who is in which room, and what readers are to be told."""

    def __init__(self):
        self.rooms = {room_id: set() for room_id in ROOMS}
        self.tokens = {user_id: [] for user_id in USERS}

    def companions(self, user_id):
        return {
            one for members in self.rooms.values() if user_id in members for one in members if one != user_id
        }

    def move(self, room_id, user_id, membership):
        """Note a membership."""
        members = self.rooms[room_id]
        if membership != "join":
            members.discard(user_id)
        elif user_id not in members:
            members.add(user_id)
            for reader, tokens in self.tokens.items():
                for token in tokens:
                    if reader == user_id:
                        token.moved |= members
                    elif reader in members:
                        token.moved.add(user_id)

    def change(self, user_id, told_to):
        """Note a change of devices."""
        for reader, tokens in self.tokens.items():
            for token in tokens:
                if told_to is None:
                    token.changed.add(user_id)
                elif told_to == reader:
                    token.told.add(user_id)

    def check(self, reader, token, answer):
        """Compare what was told with what is to be told."""
        told = answer.get("device_lists", {"changed": [], "left": []})
        now = self.companions(reader)
        left = token.shared - now
        must = (now - token.shared) | (token.changed & (now | {reader})) | (token.told - left)
        assert (set(told["left"]), must - set(told["changed"])) == (left, set())
        # Who came into a room may be asked for again, though another room was shared all the time.
        assert set(told["changed"]) - must <= token.moved & now
        assert len(told["changed"]) + len(told["left"]) == len({*told["changed"], *told["left"]})


async def change(world, user_id, told_to=None):
    """Commit and publish a change of somebody's devices."""
    await world.store()
    async with world.notifier.device_lists.admitted(user_id):
        world.clock.ms += 1
        position = world.snowflakes.next(world.clock.ms)
        await world.note_device_list(user_id, told_to, position)
        world.bus.publish([DeviceListChange(position, user_id, told_to)])


async def step(world, model, chance):
    """Let something happen."""
    dice = chance.random()
    if dice < 0.2:
        user_id, told_to = chance.choice(USERS), chance.choice((None, None, *USERS))
        await change(world, user_id, told_to)
        model.change(user_id, told_to)
    elif dice < 0.23:
        await world.start()
    else:
        room_id, user_id = chance.choice(ROOMS), chance.choice(USERS)
        membership = chance.choice(("join", "join", "leave", "leave", "invite", "ban"))
        world.member(room_id, user_id, membership)
        model.move(room_id, user_id, membership)


async def run(world, seed, *, steps):
    """Let much happen, and look with tokens of any age on the way."""
    chance, model = random.Random(seed), Model()
    for room_id in ROOMS:
        creator = chance.choice(USERS)
        world.create(room_id, creator)
        model.move(room_id, creator, "join")
    for user_id in USERS:
        await change(world, user_id)  # who never had keys need not be told
    for _ in range(steps):
        await world.store()
        reader = chance.choice(USERS)
        token = chance.choice([None, *model.tokens[reader][-8:]])
        answer = await sync(world, reader, None if token is None else token.since)
        if token is not None:
            model.check(reader, token, answer)
        model.tokens[reader].append(Token(answer["next_batch"], model.companions(reader)))
        await step(world, model, chance)


@pytest.mark.parametrize("seed", range(40))
async def test_each_token_is_told_exactly_what_changed_since(world, seed):
    await run(world, seed, steps=60)


@pytest.mark.parametrize("seed", range(4))
async def test_each_token_is_told_exactly_what_changed_since_on_the_real_database(database, seed):
    world = StoredWorld(database)
    await world.start()
    await run(world, seed, steps=60)
    world.notifier.stop()
