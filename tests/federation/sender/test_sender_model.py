"""Whatever happens in whatever order, each server gets what it must get, in order in each room."""

import asyncio
import random

import pytest

from federation.sender import delivery, queue
from storage.tables import remote_messages, sending
from tests.doubles.sending import ALICE, SendingServer

SERVERS = ["b.example", "c.example", "region.example"]
STEPS = 60
TROUBLES = {"down": 5, "up": 8, "lose": 4, "refuse": 3, "slow": 6}
ACTIONS = {
    "say": 30, "move": 6, "message": 8, "wait": 12, "crash": 5, "settle": 10, "note": 8, **TROUBLES,
}  # fmt: skip


class Model:
    """What each server must have got in the end, and may have got."""

    def __init__(self):
        self.must = {name: {} for name in SERVERS}  # by room: what was said while it was there
        self.messages = {name: [] for name in SERVERS}
        self.count = 0

    def next(self):
        self.count += 1
        return str(self.count)


class Run:
    """One run of random steps."""

    def __init__(self, server, seed):
        self.server = server
        self.chance = random.Random(seed)
        self.model = Model()
        self.joined = {}

    async def begin(self):
        for _ in range(3):
            room_id = await self.server.create(ALICE, preset="public_chat")
            self.joined[room_id] = set()
            for name in SERVERS:
                if self.chance.random() < 0.7:
                    await self.enter(room_id, name)

    async def enter(self, room_id, name):
        await self.server.let_in(room_id, f"@bob:{name}")
        self.joined[room_id].add(name)

    async def step(self):
        room_id, name = self.chance.choice(list(self.joined)), self.chance.choice(SERVERS)
        (action,) = self.chance.choices(list(ACTIONS), list(ACTIONS.values()))
        if action in TROUBLES:
            self.trouble(action, name)
        else:
            await getattr(self, action)(room_id, name)

    async def say(self, room_id, name):
        text = self.model.next()
        await self.server.say(room_id, ALICE, text)
        for joined in self.joined[room_id]:
            self.model.must[joined].setdefault(room_id, []).append(text)

    async def message(self, room_id, name):
        text = self.model.next()
        await self.server.message({f"@bob:{name}": {"D": {"n": text}}})
        self.model.messages[name].append(text)

    def trouble(self, action, name):
        others = self.server.others
        if action == "down":
            others.down.add(name)
        elif action == "lose":
            others.loses_answers.add(name)
        elif action == "refuse":
            others.refuses[name] = self.chance.choice([401, 404, self.refuse_long])
        elif action == "slow":
            others.gate = others.gate or asyncio.Event()
        else:
            self.heal(name)
            if self.chance.random() < 0.5:
                self.server.destinations.heard_from(name)

    async def note(self, room_id, name):
        await self.server.sender.tick()

    async def wait(self, room_id, name):
        self.hurry()
        await self.server.later(self.chance.choice([10, 1_000, 30_000, 4_000_000]))

    async def settle(self, room_id, name):
        self.hurry()
        await self.server.settle()

    async def crash(self, room_id, name):
        await self.server.crash_sender()
        await self.server.start_sender()

    async def move(self, room_id, name):
        if name not in self.joined[room_id]:
            await self.enter(room_id, name)
        else:
            how = self.chance.choice(["leave", "ban", "left"])
            user_id = f"@bob:{name}"
            if how == "left":
                await self.server.let_in(room_id, user_id, "leave")
            else:
                await self.server.send(room_id, ALICE, "m.room.member", {"membership": how}, user_id)
                if how == "ban":
                    await self.server.send(
                        room_id, ALICE, "m.room.member", {"membership": "leave"}, user_id
                    )
            self.joined[room_id].discard(name)

    def hurry(self):
        """Let answers come at once, as whoever waits for them has to."""
        if self.server.others.gate is not None:
            self.server.others.gate.set()
            self.server.others.gate = None

    def heal(self, name):
        self.server.others.down.discard(name)
        self.server.others.loses_answers.discard(name)
        self.server.others.refuses.pop(name, None)

    def refuse_long(self, body):
        return 413 if len(body["pdus"]) + len(body["edus"]) > 2 else None

    async def end(self):
        self.hurry()
        for name in SERVERS:
            self.heal(name)
        for _ in range(3):
            await self.server.later(50_000_000)
        await self.server.later(0)

    def check(self):
        for name in SERVERS:
            got = {}
            for pdu in self.server.others.pdus(name):
                if pdu["type"] == "m.room.message":
                    texts = got.setdefault(pdu["room_id"], [])
                    if pdu["content"]["body"] not in texts:
                        texts.append(pdu["content"]["body"])
            # All that was said while the server was in the room, in order, and nothing else.
            assert got == self.model.must[name], name
            self.check_messages(name)

    def check_messages(self, name):
        found = {}
        for edu in self.server.others.edus(name, "m.direct_to_device"):
            found.setdefault(edu["message_id"], []).append(edu["messages"][f"@bob:{name}"]["D"]["n"])
        assert all(len(set(texts)) == 1 for texts in found.values())
        assert [texts[0] for texts in found.values()] == self.model.messages[name]


@pytest.fixture(params=[*range(12), 33])
async def run(request, database, monkeypatch):
    monkeypatch.setattr(queue, "EVENTS_QUEUED_MAX", 3)
    monkeypatch.setattr(delivery, "KEPT_MS_MAX", 60_000)
    server = await SendingServer(database).start()
    run = Run(server, request.param)
    await run.begin()
    yield run
    await server.stop()


async def test_each_server_gets_all_that_is_for_it_and_nothing_else(run):
    for _ in range(STEPS):
        await run.step()
    await run.end()
    run.check()

    database = run.server.database
    assert await sending.lacking(database) == {}
    assert await remote_messages.counts(database) == {}
    assert run.server.sender.queues == {}
    assert await sending.sender_position(database) <= run.server.journal.last_position
