"""What the users of the simulated servers do, and what a server does that keeps to no rules."""

from homeserver.core.auth.redaction import may_redact
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.errors import Forbidden
from homeserver.core.event.builder import build_event
from homeserver.core.identifiers import server_name_of
from tests.factory.room_timeline import signing_key_of

MEMBER, LEVELS = "m.room.member", "m.room.power_levels"
LEVELS_CHOSEN = (0, 25, 50, 50, 75, 100)
LEVEL_NAMES = ("ban", "kick", "invite", "state_default", "redact")
JOIN_RULES = ("public", "public", "public", "invite", "knock")
FORGED_DEPTH_MAX = 40

ACTIONS = {
    # Each with how often it is chosen.
    "say": 6, "topic": 3, "name": 2, "own_state": 2, "power": 3, "kick": 2, "ban": 2, "unban": 2, "invite": 2,
    "join": 5, "leave": 2, "rename": 2, "join_rule": 2, "knock": 1, "redact": 3, "visibility": 1, "forge": 2,
}  # fmt: skip
ALWAYS = ("say", "join")


class Actions:
    """Chooses and carries out what users do; each method returns what was acknowledged, or raises."""

    def __init__(self, world):
        self._world = world
        self._chance = world.chance
        self._room_id = world.room_id
        self._count = 0

    async def act(self, node, action):
        return await getattr(self, f"_{action}")(node)

    def _text(self):
        self._count += 1
        return f"{self._count}"

    async def _sender(self, node):
        members = await node.members()
        # Sometimes somebody tries who is not in the room.
        among = members if members and self._chance.random() < 0.95 else node.users
        return self._chance.choice(sorted(among))

    def _target(self):
        return self._chance.choice(self._world.users)

    async def _send(self, node, event_type, content, state_key=None, **more):
        sender = more.pop("sender", None) or await self._sender(node)
        event = await node.server.send(self._room_id, sender, event_type, content, state_key, **more)
        return [event.event_id]

    async def _say(self, node):
        return await self._send(node, "m.room.message", {"body": self._text()})

    async def _topic(self, node):
        return await self._send(node, "m.room.topic", {"topic": self._text()}, "")

    async def _name(self, node):
        return await self._send(node, "m.room.name", {"name": self._text()}, "")

    async def _own_state(self, node):
        key = f"key {self._chance.randrange(4)}"
        return await self._send(node, "org.example.state", {"n": self._text()}, key)

    async def _visibility(self, node):
        chosen = self._chance.choice(("shared", "joined", "invited", "world_readable"))
        return await self._send(node, "m.room.history_visibility", {"history_visibility": chosen}, "")

    async def _join_rule(self, node):
        rules = JOIN_RULES if self._world.rules.authorization.knocking else JOIN_RULES[:-1]
        chosen = self._chance.choice(rules)
        return await self._send(node, "m.room.join_rules", {"join_rule": chosen, "n": self._text()}, "")

    async def _power(self, node):
        room = await node.server.registry.actor(self._room_id)
        stored = room.state.get((LEVELS, ""))
        content = {} if stored is None else dict(stored.content)
        users = dict(content.get("users", {}))
        target, level = self._target(), self._chance.choice(LEVELS_CHOSEN)
        if self._chance.random() < 0.3:
            content[self._chance.choice(LEVEL_NAMES)] = level
        elif not (self._world.has_creators_above_all and target == self._world.creator):
            users[target] = level
        return await self._send(node, LEVELS, {**content, "users": users}, "")

    async def _membership(self, node, membership, target=None, **more):
        content = {"membership": membership, "reason": self._text()}
        target = target or self._target()
        return await self._send(node, MEMBER, content, target, **more)

    async def _kick(self, node):
        return await self._membership(node, "leave")

    async def _ban(self, node):
        return await self._membership(node, "ban")

    async def _unban(self, node):
        banned = await node.members("ban")
        return await self._membership(node, "leave", self._chance.choice(sorted(banned)) if banned else None)

    async def _invite(self, node):
        return await self._membership(node, "invite")

    async def _leave(self, node):
        sender = await self._sender(node)
        return await self._membership(node, "leave", sender, sender=sender)

    async def _knock(self, node):
        sender = self._chance.choice(node.users)
        return await self._membership(node, "knock", sender, sender=sender)

    async def _rename(self, node):
        sender = await self._sender(node)
        content = {"membership": "join", "displayname": self._text()}
        return await self._send(node, MEMBER, content, sender, sender=sender)

    async def _join(self, node):
        user_id = self._chance.choice(node.users)
        if await node.members():
            return await self._membership(node, "join", user_id, sender=user_id)
        return await self.join_by_way(node, user_id)

    async def join_by_way(self, node, user_id):
        """Come in by way of a server that is in the room."""
        residents = [
            one for one in self._world.nodes if one is not node and one.is_up and await one.members()
        ]
        residents = [one for one in residents if not self._world.network.is_cut(node.name, one.name)]
        if not residents:
            return []
        resident = self._chance.choice(residents)
        entry = await node.server.join(user_id, self._room_id, resident.server)
        resident.relays.add(entry.event_id)
        return [entry.event_id]

    async def _redact(self, node):
        target = await node.random_placed(self._chance)
        sender = await self._sender(node)
        room = await node.server.registry.actor(self._room_id)
        # Of older versions' power levels, not all that authorization looks at would be left.
        kept = {"m.room.create", LEVELS} if self._world.version not in {"11", "12"} else {"m.room.create"}
        if target.event.type in kept or not may_redact(sender, target.event, room.power_levels):
            raise Forbidden("This is not for you to redact.")
        content, redacts = {"reason": self._text()}, target.event.event_id
        return await self._send(node, "m.room.redaction", content, sender=sender, redacts=redacts)

    async def _forge(self, node):
        """Send something that our own code would not: unauthorised, from the past, or of a wrong depth."""
        sender = self._chance.choice(node.users)
        content, state_key = {"topic": self._text()}, ""
        event_type = self._chance.choice(("m.room.topic", "m.room.message", LEVELS, MEMBER))
        if event_type == "m.room.message":
            state_key = None
        elif event_type == LEVELS:
            content = {"users": {sender: 100}}
        elif event_type == MEMBER:
            content, state_key = {"membership": self._chance.choice(("ban", "leave", "join"))}, self._target()
            if content["membership"] == "join":
                state_key = sender
        prev = [await node.random_placed(self._chance) for _ in range(self._chance.choice((1, 1, 2)))]
        prev = list({one.event.event_id: one for one in prev}.values())
        keys = auth_types_for(self._world.rules, event_type, sender, state_key, content)
        before = {
            (one.type, one.state_key): one for one in await node.server.state_before(prev[0].event.event_id)
        }
        auth = [before[key] for key in keys if key in before]
        if auth and self._chance.random() < 0.2:
            auth.pop(self._chance.randrange(len(auth)))
        depth = 1 + max(one.event.depth for one in prev)
        if self._chance.random() < 0.3:
            depth = self._chance.randrange(1, FORGED_DEPTH_MAX)
        event = build_event(
            rules=self._world.rules, type=event_type, sender=sender, content=content, state_key=state_key,
            room_id=self._room_id, prev_events=[one.event for one in prev], auth_events=auth, depth=depth,
            origin_server_ts=node.clock.now_ms(), server_name=node.name,
            signing_key=signing_key_of(node.name),
        )  # fmt: skip
        assert server_name_of(sender) == node.name
        await node.server.receive(node.name, self._room_id, event)
        return []
