"""A world of a few whole servers that share a room: the real client, server and sender of the federation.

Signatures are real, too; the network and the databases fail. What happens follows from a seed; in which order
the tasks of a server have their turns does not, as with real ones.
"""

import asyncio
import random
from itertools import permutations
from urllib.parse import quote

from homeserver.core.identifiers import server_name_of
from storage.tables.events import EventFlags
from tests.doubles.rooms import state_path
from tests.simulation.checkers import check_node, check_same
from tests.simulation.whole.network import WholeNetwork
from tests.simulation.whole.server import WholeNode, drained

VERSIONS = ("1", "6", "9", "10", "11", "12")
NETWORK_FAULTS = ("lose_request", "lose_answer", "repeat", "delay")
FAULTS = (*NETWORK_FAULTS, "partition", "crash", "restart", "refuse", "skew")
STEPS_MIN, STEPS_MAX = 20, 40
SERVERS_MIN, SERVERS_MAX = 2, 3
USERS_EACH = 2
ROUNDS_MAX = 6
STEP_S_MAX = 30.0
SKEW_MS_MAX = 600_000
LEVELS = "m.room.power_levels"
_REFUSED = EventFlags.REJECTED | EventFlags.SOFT_FAILED
ACTIONS = {
    # Each with how often it is chosen.
    "say": 6, "topic": 3, "own_state": 2, "power": 2, "kick": 2, "ban": 1, "unban": 2, "invite": 2, "join": 5,
    "leave": 2, "rename": 2, "join_rule": 1, "redact": 2, "tell": 3,
}  # fmt: skip


class WholeWorld:
    """A few servers and one room.

    Args:
        seed: says what happens.
        databases: empty ones, as many as there may be servers.
        directory: for what servers keep in files.
    """

    def __init__(self, seed, databases, directory):
        self.chance = random.Random(seed)
        self.version = self.chance.choice(VERSIONS)
        self.faults_on = {one for one in FAULTS if self.chance.random() < 0.5}
        self.network = WholeNetwork(self.chance)
        count = self.chance.randint(SERVERS_MIN, SERVERS_MAX)
        self.names = [f"{letter}.example" for letter in "abc"[:count]]
        self.nodes = []
        for name, database in zip(self.names, databases, strict=False):
            skew_ms = self.chance.randint(-SKEW_MS_MAX, SKEW_MS_MAX) if "skew" in self.faults_on else 0
            self.nodes.append(WholeNode(name, database, directory / name, self.network, skew_ms))
        self.room_id = None
        self.has_parted = self.may_part = False
        self.told = {}  # (user ID of who is told, text) of every message for devices that was acknowledged
        self.log = []
        self._count = 0

    # The story of a world.

    async def run(self):
        """Live through it, and check what has come of it."""
        try:
            for node in self.nodes:
                await node.start()
            await self._begin()
            for _ in range(self.chance.randint(STEPS_MIN, STEPS_MAX)):
                async with asyncio.timeout(STEP_S_MAX):
                    await self._step()
            await self._heal()
            await self._converge()
            await self._check_devices()
        finally:
            for node in self.nodes:
                if node.is_up:
                    await node.stop()

    async def _begin(self):
        for node in self.nodes:
            node.people = [await node.server.user(f"u{number}") for number in range(USERS_EACH)]
        creator = self.nodes[0].people[0]
        users = {one.user_id: 50 for node in self.nodes for one in node.people if one is not creator}
        if self.version != "12":
            users[creator.user_id] = 100
        self.room_id = await creator.create(
            preset="public_chat", room_version=self.version, power_level_content_override={"users": users}
        )
        for node in self.nodes:
            node.room_id = self.room_id
        for node in self.nodes[1:]:
            await self._join(node, node.people[0])
        await drained(self.nodes, self.network)

    async def _step(self):
        for node in self.nodes:
            node.clock.ms += self.chance.randrange(30_000)
        await self._disturb()
        up = [node for node in self.nodes if node.is_up]
        if up and self.chance.random() < 0.8:
            await self._act(self.chance.choice(up))
        for node in up:
            if node.is_up and self.chance.random() < 0.5:
                await node.tick()
        await self._look_after()

    async def _act(self, node):
        action = self.chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]
        self._lay_fuse(self.chance.choice(self.nodes))
        status, answer = await getattr(self, f"_{action}")(node, self.chance.choice(node.people))
        self._note(node.name, action, status, answer)
        if status == 200 and isinstance(answer, dict) and "event_id" in answer and not node.fuse.is_blown:
            node.acknowledged.add(answer["event_id"])

    def _note(self, *what):
        self.log.append(" ".join(str(one) for one in what))

    # What users do.

    def _text(self):
        self._count += 1
        return f"{self._count}"

    def _anybody(self):
        return self.chance.choice([user_id for node in self.nodes for user_id in node.users])

    async def _set(self, user, event_type, content, state_key=""):
        return await user.try_("PUT", state_path(self.room_id, event_type, state_key), content)

    async def _say(self, node, user):
        return await user.try_send(self.room_id, {"msgtype": "m.text", "body": self._text()})

    async def _topic(self, node, user):
        return await self._set(user, "m.room.topic", {"topic": self._text()})

    async def _own_state(self, node, user):
        key = f"key {self.chance.randrange(3)}"
        return await self._set(user, "org.example.state", {"n": self._text()}, key)

    async def _power(self, node, user):
        status, content = await user.try_("GET", state_path(self.room_id, LEVELS))
        if status != 200:
            return status, content
        content["users"][self._anybody()] = self.chance.choice((0, 50, 50))
        return await self._set(user, LEVELS, content)

    async def _do(self, user, action, **body):
        return await user.try_act(self.room_id, action, reason=self._text(), **body)

    async def _kick(self, node, user):
        return await self._do(user, "kick", user_id=self._anybody())

    async def _ban(self, node, user):
        return await self._do(user, "ban", user_id=self._anybody())

    async def _unban(self, node, user):
        return await self._do(user, "unban", user_id=self._anybody())

    async def _invite(self, node, user):
        return await self._do(user, "invite", user_id=self._anybody())

    async def _leave(self, node, user):
        return await self._do(user, "leave")

    async def _join(self, node, user):
        via = self.chance.choice([name for name in self.names if name != node.name])
        return await user.try_("POST", f"/join/{quote(self.room_id)}?via={via}", {})

    async def _rename(self, node, user):
        content = {"membership": "join", "displayname": self._text()}
        return await self._set(user, "m.room.member", content, user.user_id)

    async def _join_rule(self, node, user):
        rule = self.chance.choice(("public", "public", "invite"))
        return await self._set(user, "m.room.join_rules", {"join_rule": rule, "n": self._text()})

    async def _redact(self, node, user):
        rows = await node.plain.fetch("SELECT event_id FROM events WHERE flags & 1 = 0 ORDER BY position")
        if not rows:
            return 0, "nothing to redact"
        (event_id,) = self.chance.choice(rows[-8:])
        return await user.try_redact(self.room_id, event_id, reason=self._text())

    async def _tell(self, node, user):
        """Send a message to the devices of somebody."""
        whom, text = self._anybody(), self._text()
        body = {"messages": {whom: {"*": {"text": text}}}}
        status, answer = await user.try_("PUT", f"/sendToDevice/org.example.told/{text}", body)
        if status == 200:
            self.told[whom, text] = node.name
        return status, answer

    # What goes wrong.

    async def _disturb(self):
        chance, faults = self.chance, self.faults_on
        self.network.faults = {one for one in NETWORK_FAULTS if one in faults and chance.random() < 0.4}
        if "partition" in faults and chance.random() < 0.15:
            if self.network.cut:
                self.network.cut = set()
                self._note("healed")
            else:
                names = chance.sample(self.names, chance.randint(1, len(self.names) - 1))
                self.network.cut_off(names, self.names)
                self._note("cut off", *names)
        for node in self.nodes:
            if not node.is_up:
                if chance.random() < 0.4:
                    await node.start()
                    self._note(node.name, "is up")
            elif "restart" in faults and chance.random() < 0.04:
                await (node.stop() if chance.random() < 0.5 else node.crash())
                self._note(node.name, "is down")

    def _lay_fuse(self, node):
        kinds = [one for one in ("crash", "refuse") if one in self.faults_on]
        node.fuse.clear()
        if not kinds or not node.is_up or self.chance.random() > 0.25:
            return
        is_crash = self.chance.choice(kinds) == "crash"
        if self.chance.random() < 0.4:
            node.fuse.set(reads=self.chance.randrange(25), is_crash=is_crash)
        else:
            is_late = is_crash and self.chance.random() < 0.5
            node.fuse.set(flushes=self.chance.randrange(3), is_crash=is_crash, is_late=is_late)

    async def _look_after(self):
        """Bring back who has crashed, and see that nothing was lost."""
        for node in self.nodes:
            if node.is_up and node.fuse.is_blown:
                self._note(node.name, "crashed")
                await node.crash()
                await node.start()
                await self._check_kept(node)
            node.fuse.clear()

    async def _check_kept(self, node):
        lost = node.acknowledged - await node.event_ids()
        assert not lost, f"{node.name} has lost {lost} in a crash"

    # The end of it.

    async def _heal(self):
        self.network.heal()
        self.faults_on = set()
        for node in self.nodes:
            node.fuse.clear()
            if not node.is_up:
                await node.start()
        await self._look_after()
        self._note("all is well again")
        await drained(self.nodes, self.network)
        await self._come_in_again()

    async def _come_in_again(self):
        """Let those come in whose joining was lost on the way back: only other servers know that they did."""
        for node in self.nodes:
            others = [one for one in self.nodes if one is not node and await one.is_resident()]
            elsewhere = {user_id for one in others for user_id in await one.members(is_local=False)}
            if not await node.is_resident():
                for user in [one for one in node.people if one.user_id in elsewhere]:
                    self._note(user.user_id, "comes in again", *await self._join(node, user))
                await drained(self.nodes, self.network)

    async def _converge(self):
        """Let all say something in turn until all servers see the same.

        Not only one of each server: what is said by somebody whom another server takes to have left is
        soft-failed there, and joins no branches.
        """
        for number in range(ROUNDS_MAX):
            for node in self.nodes:
                here = set(await node.members())
                for user in [one for one in node.people if one.user_id in here]:
                    content = {"membership": "join", "displayname": f"round {number}"}
                    status, answer = await self._set(user, "m.room.member", content, user.user_id)
                    self._note(user.user_id, "speaks", status, answer)
                    await drained(self.nodes, self.network)
            if await check_same(self) is None and not self.has_parted:
                break
        difference = await check_same(self)
        assert difference is None, difference
        for node, other in permutations(self.nodes, 2):
            told = f"{node.name} and {other.name} do not see each other: {await self._seen()}"
            assert await _is_explained(node, other), told
        for node in self.nodes:
            await self._check_kept(node)
            if await node.is_resident():
                await check_node(self, node)

    async def _seen(self):
        return {
            node.name: sorted({server_name_of(one) for one in await node.members(is_local=False)})
            for node in self.nodes
        }

    async def _check_devices(self):
        """See that each device has every message for it that was acknowledged, and none twice."""
        for node in self.nodes:
            for user in node.people:
                got = [event["content"]["text"] for event in await _inbox(user)]
                owed = {text for whom, text in self.told if whom == user.user_id}
                assert len(got) == len(set(got)), f"{user.user_id} was told twice: {sorted(got)}"
                assert owed <= set(got), f"{user.user_id} was not told {owed - set(got)}"

    def story(self):
        """Tell what happened, for whoever reads why a seed failed."""
        head = f"room version {self.version}, {len(self.nodes)} servers"
        return "\n".join([head, *self.log])


async def _is_explained(node, other):
    """Whether two servers see each other in the room, or one refuses all users of the other by the rules.

    As where somebody comes back by a branch that the other server does not believe, and the room has become
    closed there meanwhile: from then on that server takes nothing of theirs, and tells them nothing.
    """
    here, there = await node.members(), await other.members()
    if not here and not there:
        return True  # nobody tells them of each other any more
    if not here:
        return not set(await other.members(is_local=False)) & set(node.users)
    if not there:
        return True  # looked at the other way round
    sees_all = set(there) <= set(await node.members(is_local=False))
    is_seen = set(here) <= set(await other.members(is_local=False))
    return (sees_all and is_seen) or await _refuses(node, other) or await _refuses(other, node)


async def _refuses(node, other):
    """Whether a server was told of all users of another who are in the room, and took none of it."""
    rows = await other.plain.fetch(
        "SELECT event_id FROM memberships WHERE is_local AND membership = 'join'"
    )
    told = await node.plain.fetch(
        "SELECT flags FROM events WHERE event_id = ANY(%b::text[])", [event_id for (event_id,) in rows]
    )
    return len(told) == len(rows) and all(flags & _REFUSED for (flags,) in told)


async def _inbox(user):
    """Read all that waits for a device."""
    found, since = [], ""
    while True:
        answer = await user.get(f"/sync?timeout=0{since}")
        events = answer.get("to_device", {}).get("events", [])
        if not events:
            return found
        found += [event for event in events if event["type"] == "org.example.told"]
        since = f"&since={answer['next_batch']}"
