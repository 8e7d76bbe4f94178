"""Random histories, followed by clients; and what must be so at the end of one."""

import random
from contextlib import AsyncExitStack

from homeserver.core.filters import parse_filter
from homeserver.sync.account_data_news import AccountDataNews
from homeserver.sync.request import SyncRequest, parse_since
from homeserver.sync.room_cache import RoomCache
from tests.sync.sync_client import Client
from tests.sync.sync_world import World, requester

USERS = [f"@user{number}:example.org" for number in range(3)]
TYPES = ["m.direct", "org.example.a", "org.example.b"]
ROOMS = [f"!room{number}:example.org" for number in range(4)]


class Run:
    """One random history, followed by one client for each user."""

    def __init__(self, seed, world=None, *, is_lazy=False, use_state_after=False, connected=False):
        self.is_lazy = is_lazy
        self.use_state_after = use_state_after
        self.connected = connected  # as over a WebSocket: one stream of deltas, until the connection breaks
        self.include_leave = False
        self.streams = {}
        self.random = random.Random(seed)
        self.world = world or World()
        self.clients = {user_id: Client() for user_id in USERS}
        self.limit = self.random.choice([1, 3, 100])
        # Swarm testing: each run does only some of the things that can be done.
        actions = [
            self.message, self.name, self.hold_back, self.restart, self.remember_little, self.rename,
            self.keep, self.keep,
        ]  # fmt: skip
        self.actions = [action for action in actions if self.random.random() < 0.7]
        if self.random.random() < 0.3:
            for user_id in USERS[:2]:
                self.world.ignore(user_id, self.random.choice(USERS))
        self.actions += [self.message, self.membership, self.membership, self.catch_up, self.catch_up]

    def some_member(self):
        room_id = self.random.choice(ROOMS)
        members = [user_id for user_id in USERS if self.world.membership(room_id, user_id) == "join"]
        return room_id, self.random.choice(members) if members else None

    async def message(self):
        room_id, sender = self.some_member()
        for _ in range(self.random.choice([1, 1, 5])):
            if sender is not None:
                self.world.send(room_id, sender, body="message")

    async def name(self):
        room_id, sender = self.some_member()
        if sender is not None:
            self.world.send(room_id, sender, "m.room.name", "", name=str(self.random.random()))

    async def rename(self):
        room_id, user_id = self.some_member()
        if user_id is not None:
            self.world.member(room_id, user_id, "join", displayname=str(self.random.random()))

    async def keep(self):
        user_id = self.random.choice(USERS)
        place = self.random.choice([None, *ROOMS])
        content = self.random.choice([None, {"n": self.random.random()}, {"n": self.random.random()}])
        self.world.keep(user_id, self.random.choice(TYPES), content, place)

    async def membership(self):
        room_id = self.random.choice(ROOMS)
        user_id = self.random.choice(USERS)
        if room_id not in self.world.committed:
            self.world.create(room_id, user_id, self.random.choice(["shared", "invited", "joined"]))
            return
        held = self.world.membership(room_id, user_id)
        choices = {"join": ["leave", "ban"], "invite": ["join", "leave"], "ban": ["leave"]}
        self.world.member(room_id, user_id, self.random.choice(choices.get(held, ["join", "invite"])))

    async def hold_back(self):
        if self.world.holds_back:
            self.world.publish()
        self.world.holds_back = not self.world.holds_back

    async def restart(self):
        await self.disconnect()
        await self.world.start()

    async def disconnect(self):
        for user_id in list(self.streams):
            await self.hang_up(user_id)

    async def hang_up(self, user_id):
        await self.streams.pop(user_id)[0].aclose()

    async def remember_little(self):
        floor = self.world.notifier.heard
        if not self.world.unpublished:
            small = RoomCache(floor, rooms_max=2, events_per_room_max=3)
            self.world.notifier.rooms._rooms = small._rooms
            self.world.notifier.rooms._floor = small._floor
            self.world.notifier.rooms._rooms_max = 2
            self.world.notifier.rooms._events_per_room_max = 3
            for user in self.world.notifier.users._users.values():
                user.account_data = AccountDataNews(floor)

    async def catch_up(self):
        await self.follow(self.random.choice(USERS))

    async def follow(self, user_id):
        client = self.clients[user_id]
        if not self.connected:
            client.apply(await self.ask(user_id, client.since))
            return
        await self.world.store()
        if user_id in self.streams and self.random.random() < 0.2:
            await self.hang_up(user_id)
        if user_id not in self.streams:
            stack = AsyncExitStack()
            following = self.world.sync.following(self.request(user_id, client.since))
            self.streams[user_id] = stack, await stack.enter_async_context(following)
        delta, _ = await self.streams[user_id][1].look()
        client.apply(delta.body)

    def request(self, user_id, since, session_id=0):
        room = {
            "timeline": {"limit": self.limit}, "state": {"lazy_load_members": self.is_lazy},
            "include_leave": self.include_leave,
        }  # fmt: skip
        session_id = session_id or 10 + USERS.index(user_id)
        return SyncRequest(
            requester(user_id, session_id),
            filter=parse_filter({"room": room}),
            since=parse_since(since),
            use_state_after=self.use_state_after,
        )

    async def ask(self, user_id, since, session_id=0):
        request = self.request(user_id, since, session_id)
        await self.world.store()
        return await self.world.sync.respond(request)

    async def go(self, steps):
        await self.world.start()
        for _ in range(steps):
            await self.random.choice(self.actions)()
        self.world.holds_back = False
        self.world.publish()


def check_against_the_truth(run, user_id):
    """What a client believes is so."""
    client, world = run.clients[user_id], run.world
    assert set(client.joined) == world.joined(user_id)
    assert client.account_data.pop("m.push_rules")["global"]
    assert client.account_data == world.kept(user_id)
    for room_id, room in client.joined.items():
        assert room.account_data == world.kept(user_id, room_id)
        check_state(run, room, world.state(room_id))
        assert not room.timeline or room.timeline == [
            each for each in world.told_ids(room_id, user_id)[-len(room.timeline) :] if each in room.timeline
        ], "nothing between what was told is missing"
    assert client.invited == {room_id for room_id in ROOMS if world.membership(room_id, user_id) == "invite"}


def check_state(run, room, state):
    """The state is as it is; with lazy loading, that of members who are known, and who speaks is known."""
    if not run.is_lazy:
        assert room.state == state
        return
    assert room.state == {key: state[key] for key in room.state}
    assert {key for key in state if key[0] != "m.room.member"} <= room.state.keys()
    assert {("m.room.member", sender) for sender in room.senders} <= room.state.keys()


async def check_increments(run):
    """Initial sync now = older initial sync + increments, for every client of a run that is over."""
    for user_id in USERS:
        await run.follow(user_id)
        check_against_the_truth(run, user_id)
        fresh = Client()
        fresh.apply(await run.ask(user_id, None, session_id=2))
        old = run.clients[user_id]
        assert fresh.since == old.since
        assert fresh.joined.keys() == old.joined.keys()
        assert fresh.invited == old.invited
        del fresh.account_data["m.push_rules"]
        assert fresh.account_data == old.account_data
        for room_id, room in fresh.joined.items():
            if run.is_lazy:
                check_state(run, room, run.world.state(room_id))
            else:
                assert room.state == old.joined[room_id].state
            assert room.account_data == old.joined[room_id].account_data
            shorter = min(len(room.timeline), len(old.joined[room_id].timeline))
            assert shorter == 0 or room.timeline[-shorter:] == old.joined[room_id].timeline[-shorter:]
    await run.disconnect()
    run.world.notifier.stop()
