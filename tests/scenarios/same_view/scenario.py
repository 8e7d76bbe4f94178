"""One long random scenario: users act over all their clients, then all must know what the server says."""

import asyncio
import random
import time

import aiohttp

from tests.scenarios.same_view.actions import LONG_MS, Actions
from tests.scenarios.same_view.client_process import ClientProcess, commands
from tests.scenarios.same_view.compare import differences
from tests.scenarios.same_view.people import KINDS, make_person
from tests.scenarios.same_view.story import Story
from tests.scenarios.same_view.truth import truth_of
from tests.scenarios.same_view.world import World

NAMES = ("alice", "bob", "carol", "dave")
ROUNDS_PER_PART = 30
"""Of up to four actions at once."""
AGREE_S = 45
AWAY_S = 60
"""For so long an action is tried again when the server is away."""
_PROGRAM_OF = {"nio": "nio", "js": "js", "sliding": "js", "websocket": "websocket"}


def _by_name(device):
    return device[0].name, device[1]


class Clients:
    """The programs, shared by the scenarios of a run."""

    def __init__(self, programs):
        self._programs = programs

    @classmethod
    async def open(cls, interop_python, directory):
        """Start them."""
        made = [
            await ClientProcess.open(name, command, directory / f"{name}.log", cwd)
            for name, (command, cwd) in commands(interop_python).items()
        ]
        return cls({one.name: one for one in made})

    async def ask(self, do, person, kind, **more):
        """Have one device of a user do something."""
        return await self._programs[_PROGRAM_OF[kind]].ask(do, f"{person.user_id} {kind}", **more)

    async def close(self):
        """End them."""
        await asyncio.gather(*(one.close() for one in self._programs.values()))


class Scenario:
    """One world, from one seed.

    Args:
        seed: decides everything but races.
        server: the process; see conftest.
        clients: the programs.
        http: for plain requests.
    """

    def __init__(self, seed, server, clients, http):
        self._seed = seed
        self._server = server
        self._clients = clients
        self._http = http
        self._chance = random.Random(seed)
        self._world = World()
        self._story = Story()
        self._asleep = set()
        self._people = []
        self._actions = None
        self.done = 0

    async def run(self):
        """Live through it; fails with the story if anybody knows anything else than the server says."""
        await self._meet()
        await self._act_for_a_while(ROUNDS_PER_PART)
        await self._agree("after the first part")
        await self._act_for_a_while(ROUNDS_PER_PART // 2)
        await self._kill_in_the_middle()
        await self._act_for_a_while(ROUNDS_PER_PART // 2)
        await self._agree("after the server was killed")

    async def _meet(self):
        self._people = await asyncio.gather(
            *(make_person(self._http, self._server.base_url, name, f"s{self._seed}") for name in NAMES)
        )
        for person in self._people:
            self._story.name(person.user_id, person.name)
        self._actions = Actions(self._chance, self._world, self._people)
        self._story.tell(f"seed {self._seed}; without {sorted(self._actions.left_out)}")
        await asyncio.gather(
            *(self._clients.ask("start", person, kind, session=person.sessions[kind])
              for person in self._people for kind in KINDS)
        )  # fmt: skip
        everybody = [person.user_id for person in self._people[1:]]
        await self._do(self._people[0], "js", self._actions.create(invite=everybody, preset="public_chat"))
        await self._do(self._people[1], "nio", self._actions.create(preset="private_chat"))

    async def _act_for_a_while(self, rounds):
        for _ in range(rounds):
            await self._disturb()
            people = self._chance.sample(self._people, self._chance.choice([1, 1, 1, 2, 4]))
            await asyncio.gather(
                *(self._do(person, self._awake_kind(person), self._actions.next(person)) for person in people)
            )

    def _awake_kind(self, person):
        return self._chance.choice([kind for kind in KINDS if (person, kind) not in self._asleep])

    async def _disturb(self):
        person, kind = self._chance.choice(self._people), self._chance.choice(KINDS)
        chance = self._chance.random()
        if chance < 0.03 and (person, kind) not in self._asleep:
            self._story.tell(f"{person.name} on {kind} loses the connection")
            await self._clients.ask("cut", person, kind)
        elif chance < 0.12 and len(self._asleep) < 3 and (person, kind) not in self._asleep:
            self._story.tell(f"{person.name} on {kind} stops")
            self._asleep.add((person, kind))
            await self._clients.ask("stop", person, kind)
        elif chance < 0.18 and self._asleep:
            await self._wake(*self._chance.choice(sorted(self._asleep, key=_by_name)))

    async def _wake(self, person, kind):
        self._story.tell(f"{person.name} on {kind} comes back")
        self._asleep.discard((person, kind))
        await self._clients.ask("resume", person, kind)

    async def _do(self, person, kind, action):
        """Do one action; what a crash may have swallowed is done again if it has a transaction ID."""
        again, give_up = 0, time.monotonic() + AWAY_S
        while True:
            answer = await self._clients.ask("act", person, kind, action=action)
            status, body = answer["status"], answer["body"]
            if status is not None or "transaction_id" not in action or time.monotonic() > give_up:
                break
            again += 1
            if again == 1:
                self._story.tell(
                    f"{person.name} on {kind} has to try again: {body['error']}", action["room_id"]
                )
            await asyncio.sleep(0.1)
        self.done += 1
        if status == 200:
            self._world.learn(person, action, body)
            self._name(action, body)
        said = "" if status == 200 else f" -> {status} {body.get('errcode') or body.get('error')}"
        room_id = action.get("room_id") or body.get("room_id")
        of = f" [{body['event_id']}]" if "event_id" in body else ""
        self._story.tell(f"{person.name} on {kind} in {room_id}: {action['what']}{of}{said}", room_id)
        assert status is None or status < 500, self._told([], "The server failed.")

    def _name(self, action, body):
        if "event_id" in body:
            self._story.name(body["event_id"], f"E{self.done}")
        if action["verb"] == "create":
            self._story.name(body["room_id"], f"R{len(self._world.rooms)}")

    async def _kill_in_the_middle(self):
        """End the server at once while everybody is doing something, and start it again."""
        self._story.tell("the server is killed")
        doing = asyncio.gather(*(
            self._do(person, self._awake_kind(person), self._actions.next(person))
            for person in self._people for _ in range(3)
        ))  # fmt: skip
        await asyncio.sleep(self._chance.random() / 100)
        self._server.kill()
        await asyncio.to_thread(self._server.start)
        self._story.tell("the server is there again")
        for person in self._people:
            if (person, "js") not in self._asleep:
                await self._clients.ask("hurry", person, "js")
        await doing

    # Whether all know the same.

    async def _agree(self, when):
        for person, kind in sorted(self._asleep, key=_by_name):
            await self._wake(person, kind)
        await self._leave_traces()
        give_up = time.monotonic() + AGREE_S
        while found := await self._differences():
            if time.monotonic() > give_up:
                raise AssertionError(self._told(found, f"Not all clients know the same {when}."))
            await asyncio.sleep(0.2)
        self._story.tell(f"all know the same {when}")

    async def _leave_traces(self):
        """Let some type on while views are compared, and some be away."""
        for person in self._people:
            rooms = self._world.rooms_of(person.user_id)
            if rooms and self._chance.random() < 0.5:
                room = self._chance.choice(rooms)
                await self._do(person, "websocket", self._actions.typing(person, room, LONG_MS))
            elif self._chance.random() < 0.5:
                for kind in KINDS:  # a user is as awake as the most awake device
                    await self._do(person, kind, self._actions.presence(person, "unavailable", "away"))

    async def _differences(self):
        found = []
        truths = await asyncio.gather(*map(truth_of, self._people))
        for person, truth in zip(self._people, truths, strict=True):
            views = await asyncio.gather(*(self._clients.ask("view", person, kind) for kind in KINDS))
            ignored = self._world.ignored_once.get(person.user_id, set())
            for kind, view in zip(KINDS, views, strict=True):
                found += [
                    (room, f"{person.name} on {kind}: {text}")
                    for room, text in differences(kind, view, truth, ignored)
                ]
                found += [
                    (room, f"{person.name} on {kind}: {text}") for room, text in self._overheard(person, view)
                ]
        return found

    def _overheard(self, person, view):
        unheard = self._world.unheard.get(person.user_id, {})
        return [
            (room_id, f"hears {event[0]} of someone who is ignored")
            for room_id, room in view["rooms"].items()
            for event in room.get("timeline", ())
            if event[0] in unheard
        ]

    def _told(self, found, what):
        about = {room_id for room_id, _ in found} or {room.room_id for room in self._world.rooms}
        lines = [self._story.readable(f"{room_id or 'everywhere'}: {text}") for room_id, text in found]
        return "\n".join([
            f"Seed {self._seed}: {what}", *lines,
            "", "What happened in these rooms:", self._story.about(about),
            "", f"Run this alone: make same-view SEEDS=1 FIRST={self._seed}",
        ])  # fmt: skip


async def live_through(seed, server, interop_python, directory):
    """Run the scenario of one seed against a server."""
    clients = await Clients.open(interop_python, directory)
    try:
        async with aiohttp.ClientSession() as http:
            scenario = Scenario(seed, server, clients, http)
            await scenario.run()
            return scenario.done
    finally:
        await clients.close()
