"""A world of a few servers that share a room; all that happens in it follows from its seed.

One thing happens after the other, so that the world of a seed is the same each time. Each seed leaves out
some of what users do and some of what goes wrong: what is rare together is common alone.
"""

import random

from homeserver.core.errors import MatrixError, Unavailable
from homeserver.core.identifiers import server_name_of
from homeserver.core.pdu_verdicts import Dropped
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.rooms.ingest import Postponed
from tests.doubles import federated_rooms
from tests.simulation.actions import ACTIONS, ALWAYS, Actions
from tests.simulation.checkers import check_node, check_same
from tests.simulation.network import SimulatedNetwork, Transmission
from tests.simulation.node import Node

VERSIONS = ("1", "2", "6", "10", "11", "12")
FAULTS = (
    "drop", "duplicate", "reorder", "delay", "partition", "crash", "restart", "refuse", "lossy", "skew",
    "jump",
)  # fmt: skip
STEPS_MIN, STEPS_MAX = 40, 70
SERVERS_MIN, SERVERS_MAX = 2, 4
ROUNDS_MAX = 5
DELIVERIES_MAX = 5_000
SKEW_MS_MAX = 600_000


class World:
    """A few servers and one room.

    Args:
        seed: all follows from it.
        databases: empty ones, as many as there may be servers.
    """

    def __init__(self, seed, databases):
        self.seed = seed
        self.chance = random.Random(seed)
        self._databases = databases
        self.version = self.chance.choice(VERSIONS)
        self.rules = ROOM_VERSIONS[self.version]
        self.has_creators_above_all = self.rules.authorization.explicitly_privilege_room_creators
        self.network = SimulatedNetwork(self.chance)
        self.actions_on = [one for one in ACTIONS if one in ALWAYS or self.chance.random() < 0.7]
        self.faults_on = {one for one in FAULTS if self.chance.random() < 0.5}
        names = [f"{letter}.example" for letter in "abcd"[: self.chance.randint(SERVERS_MIN, SERVERS_MAX)]]
        self.network.all_names = names
        self.nodes = [self._node(name, database) for name, database in zip(names, databases, strict=False)]
        self.users = [user_id for node in self.nodes for user_id in node.users]
        self.creator = self.users[0]
        self.room_id = None
        self.has_parted, self.may_part = False, "forge" in self.actions_on
        self.log = []

    def _node(self, name, database):
        skew_ms = self.chance.randint(-SKEW_MS_MAX, SKEW_MS_MAX) if "skew" in self.faults_on else 0
        return Node(name, [f"@u{number}:{name}" for number in range(3)], database, self.network, skew_ms)

    # The story of a world.

    async def run(self):
        """Live through it, and check what has come of it."""
        federated_rooms._Letters.count = 0
        try:
            for node in self.nodes:
                await node.start()
            await self._begin()
            for _ in range(self.chance.randint(STEPS_MIN, STEPS_MAX)):
                await self._step()
            await self._heal()
            await self._converge()
        finally:
            for node in self.nodes:
                if node.is_up:
                    await node.stop()
        return self.outcome

    async def _begin(self):
        first = self.nodes[0]
        self.room_id = await first.server.create(self.creator, self.version, preset="public_chat")
        for node in self.nodes:
            node.room_id = self.room_id
        levels = {user_id: self.chance.choice((0, 50, 50, 100)) for user_id in self.users[1:]}
        if not self.has_creators_above_all:
            levels[self.creator] = 100
        content = {"users": levels, "state_default": self.chance.choice((0, 0, 50))}
        await first.server.send(self.room_id, self.creator, "m.room.power_levels", content, "")
        self.actions = Actions(self)
        await first.news()  # nobody else is in the room to be told
        for node in self.nodes[1:]:
            for user_id in node.users[: self.chance.randint(1, 2)]:
                if await node.members():
                    content = {"membership": "join"}
                    await node.server.send(self.room_id, user_id, "m.room.member", content, user_id)
                else:
                    await self.actions.join_by_way(node, user_id)
                await self._post_all()
                await self._deliver_all()

    async def _step(self):
        for node in self.nodes:
            node.clock.ms += self.chance.randrange(2_000)
        await self._disturb()
        up = [node for node in self.nodes if node.is_up]
        if up and self.chance.random() < 0.6:
            await self._act(self.chance.choice(up))
        for _ in range(self.chance.randrange(4)):
            await self._deliver_one()

    async def _act(self, node):
        weights = [ACTIONS[one] for one in self.actions_on]
        action = self.chance.choices(self.actions_on, weights)[0]
        self._lay_fuse(node)
        try:
            acknowledged = await self.actions.act(node, action)
        except MatrixError as error:
            self._note(node.name, action, type(error).__name__, error.error)
        else:
            node.acknowledged.update(acknowledged)
            self._note(node.name, action, *acknowledged)
        await self._look_after(node)

    def _note(self, *what):
        self.log.append(" ".join(str(one) for one in what))

    # What goes wrong.

    async def _disturb(self):
        chance, faults = self.chance, self.faults_on
        self.network.is_lossy = "lossy" in faults and chance.random() < 0.3
        if "partition" in faults and chance.random() < 0.1:
            if self.network.cut:
                self.network.heal()
                self._note("healed")
            else:
                names = chance.sample(self.network.all_names, chance.randint(1, len(self.nodes) - 1))
                self.network.cut_off(names)
                self._note("cut off", *names)
        if "jump" in faults and chance.random() < 0.1:
            chance.choice(self.nodes).clock.ms += chance.randint(-SKEW_MS_MAX, SKEW_MS_MAX)
        for node in self.nodes:
            if not node.is_up:
                if chance.random() < 0.4:
                    await node.start()
                    self._note(node.name, "is up")
                    await self._post(node)
            elif "restart" in faults and chance.random() < 0.04:
                await (node.stop() if chance.random() < 0.5 else node.crash())
                self._note(node.name, "is down")

    def _lay_fuse(self, node):
        chance = self.chance
        node.fuse.clear()
        kinds = [one for one in ("crash", "refuse") if one in self.faults_on]
        if not kinds or chance.random() > 0.15:
            return
        is_crash = chance.choice(kinds) == "crash"
        if chance.random() < 0.4:
            node.fuse.set(reads=chance.randrange(25), is_crash=is_crash)
        else:
            node.fuse.set(
                flushes=chance.randrange(3), is_crash=is_crash, is_late=is_crash and chance.random() < 0.5
            )

    async def _look_after(self, *nodes):
        """Bring back who has crashed, and see that nothing was lost; then send on what is new."""
        for node in nodes:
            if node.fuse.is_blown:
                self._note(node.name, "crashed")
                await node.crash()
                await node.start()
                await self._check_kept(node)
            node.fuse.clear()
        await self._post_all()

    async def _check_kept(self, node):
        lost = node.acknowledged - set(await node.event_ids())
        assert not lost, f"{node.name} has lost {lost} in a crash"

    # What servers tell each other.

    async def _post_all(self):
        for node in self.nodes:
            if node.is_up:
                await self._post(node)

    async def _post(self, node):
        """Send what is new and ours to the servers in the room, as each server does by its outbox."""
        was = node.sent_position
        for stored in await node.news():
            assert stored.position > was
            was = stored.position
            event = stored.event
            if server_name_of(event.sender) != node.name and event.event_id not in node.relays:
                continue
            names = {server_name_of(user_id) for user_id in await node.members(is_local=False)}
            if event.type == "m.room.member":
                names.add(server_name_of(event.state_key))
            for name in self.network.all_names:
                if name in names and name != node.name:
                    self._send(node.name, name, event)

    def _send(self, origin, destination, event):
        waiting = self.network.waiting
        if (
            "drop" in self.faults_on
            and self.chance.random() < 0.15
            and not (event.type == "m.room.member" and server_name_of(event.state_key) == destination)
        ):
            self._note(origin, "→", destination, event.event_id, "is lost")
            return
        last = waiting[-1] if waiting else None
        if last and (last.origin, last.destination) == (origin, destination) and self.chance.random() < 0.5:
            last.events.append(event)
        else:
            waiting.append(Transmission(origin, destination, [event]))

    async def _deliver_one(self):
        indexes = self.network.deliverable(is_ordered="reorder" not in self.faults_on)
        if not indexes or ("delay" in self.faults_on and self.chance.random() < 0.5):
            return
        index = self.chance.choice(indexes)
        transmission = self.network.waiting[index]
        if not ("duplicate" in self.faults_on and self.chance.random() < 0.15):
            self.network.take(index)
        if "reorder" in self.faults_on:
            self.chance.shuffle(transmission.events)
        await self._deliver(transmission, is_quiet=False)

    async def _deliver(self, transmission, *, is_quiet):
        node = next(one for one in self.nodes if one.name == transmission.destination)
        if not is_quiet:
            self._lay_fuse(node)
        ids = [event.event_id for event in transmission.events]
        try:
            outcomes = await node.server.receive(transmission.origin, self.room_id, *transmission.events)
        except Unavailable as error:
            self._note(node.name, "←", transmission.origin, *ids, error.error)
            transmission.tries_left -= 1
            assert transmission.tries_left, "a server that is up takes in what it is sent in the end"
            self.network.waiting.insert(0, transmission)
        except MatrixError as error:
            self._note(node.name, "←", transmission.origin, *ids, error.error)
        else:
            for event_id, outcome in zip(ids, outcomes, strict=True):
                word = "known" if outcome is None else type(outcome).__name__
                reason = getattr(outcome, "reason", "")
                self._note(node.name, "←", transmission.origin, event_id, word, reason)
                if not isinstance(outcome, Dropped | Postponed):
                    node.acknowledged.add(event_id)
        await self._look_after(node)

    async def _deliver_all(self):
        for _ in range(DELIVERIES_MAX):
            indexes = self.network.deliverable(is_ordered=True)
            if not indexes:
                return
            await self._deliver(self.network.take(indexes[0]), is_quiet=True)
        raise AssertionError("servers send each other more and more")

    # The end of it.

    async def _heal(self):
        self.network.heal()
        self.faults_on = set()
        for node in self.nodes:
            node.fuse.clear()
            if not node.is_up:
                await node.start()
                await self._check_kept(node)
        self._note("all is well again")
        await self._post_all()
        await self._deliver_all()
        await self._come_in_again()

    async def _come_in_again(self):
        """Let those come in whose joining was lost on the way to their own server."""
        for node in self.nodes:
            if not await node.members():
                others = [one for one in self.nodes if one is not node and await one.members()]
                lost = [
                    user_id
                    for one in others[:1]
                    for user_id in await one.members(is_local=False)
                    if server_name_of(user_id) == node.name
                ]
                for user_id in lost[:1]:
                    try:
                        await self.actions.join_by_way(node, user_id)
                        self._note(node.name, user_id, "comes in again")
                    except MatrixError as error:
                        self._note(node.name, user_id, "cannot come in again:", error.error)
                    await self._post_all()
                    await self._deliver_all()

    async def _converge(self):
        """Let each server say something in turn until all see the same."""
        for number in range(ROUNDS_MAX):
            for node in self.nodes:
                for user_id in await node.members():
                    try:
                        content = {"membership": "join", "displayname": f"round {number}"}
                        await node.server.send(self.room_id, user_id, "m.room.member", content, user_id)
                    except MatrixError as error:
                        self._note(node.name, user_id, "cannot speak:", error.error)
                        continue
                    break
                await self._post_all()
                await self._deliver_all()
            if await check_same(self) is None and not self.has_parted:
                break
        self._note("all have spoken")
        difference = await check_same(self)
        if difference is not None:  # who of them is wrong?
            for node in self.nodes:
                await check_node(self, node)
        assert difference is None, difference
        # Without somebody who forges, all servers take the same users to be in the room.
        assert not self.has_parted or self.may_part, "servers do not see each other in the room"
        for node in self.nodes:
            await self._check_kept(node)
            await check_node(self, node)
        self.outcome = [
            self.log,
            [
                await node.plain.fetch("SELECT event_id, flags FROM events ORDER BY event_id")
                for node in self.nodes
            ],
        ]

    def story(self):
        """Tell what happened, for whoever reads why a seed failed."""
        head = f"room version {self.version}, {len(self.nodes)} servers; users: {', '.join(self.actions_on)}"
        return "\n".join([head, *self.log])
