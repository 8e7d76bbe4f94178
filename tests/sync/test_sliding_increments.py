"""What a sliding client has gathered equals what a fresh connection is told, whatever happened."""

import contextlib
from itertools import permutations

import pytest

from homeserver.core.errors import UnknownPos
from tests.sync.sliding_client import SlidingClient
from tests.sync.sliding_world import MEMBER, SlidingWorld, StoredSlidingWorld, event_ids
from tests.sync.sync_run import ROOMS, USERS
from tests.sync.whole_run import WholeRun

WISHES = (
    [["*", "*"]],
    [["m.room.name", ""], ["m.room.create", ""], [MEMBER, "*"]],
    [["m.room.name", ""], ["m.room.history_visibility", ""], [MEMBER, "$LAZY"], [MEMBER, "$ME"]],
)
EXTENSIONS = {"account_data": {"enabled": True}, "receipts": {"enabled": True}}


class SlidingRun(WholeRun):
    """One random history, followed by one sliding client for each user."""

    def __init__(self, seed, world=None):
        super().__init__(seed, world or SlidingWorld(), can_forget=False)
        self.clients = {user_id: SlidingClient() for user_id in USERS}
        self.required_state = self.random.choice(WISHES)
        self.changes_mind = self.random.random() < 0.6
        if self.random.random() < 0.5:
            self.world.ignore(*self.random.sample(USERS, 2))
        self.actions += [self.lose, self.ask_back, self.ask_back]
        self.cut_off = set()  # who may have to begin again: there was a crash

    async def read(self):
        room_id, user_id = self.some_member()
        if user_id is None:
            return
        type_ = self.random.choice(["m.read", "m.read.private"])
        ids = self.world.event_ids(room_id)
        held = self.world.receipts.get((room_id, user_id, type_))
        event_id = self.random.choice(ids[-3:])
        if held is None or ids.index(held.event_id) < ids.index(event_id):  # they only move forward
            self.world.read_up_to(room_id, user_id, event_id, type_)

    async def ask_back(self):
        """Somebody goes, or is thrown out, and is invited at once: often by somebody whom they ignore."""
        pairs = [
            (room_id, user_id, inviter)
            for room_id in self.world.committed
            for user_id, inviter in permutations(USERS, 2)
            if {user_id, inviter} <= self.members(room_id)
        ]
        ignoring = [pair for pair in pairs if pair[2] in self.ignored(pair[1])]
        if not pairs:
            return
        room_id, user_id, inviter = self.random.choice(ignoring or pairs)
        if self.random.random() < 0.7:
            await self.follow(user_id)  # so that their client knows the room
        self.world.member(room_id, user_id, "leave", self.random.choice([user_id, inviter]))
        self.world.member(room_id, user_id, "invite", inviter)

    def members(self, room_id):
        return {user_id for user_id in USERS if self.world.membership(room_id, user_id) == "join"}

    async def restart(self):
        if self.random.random() < 0.5:
            await self.world.restart()
            return
        for _ in range(self.random.choice([0, 1, 2])):
            await self.world.keeper.sweep()
        self.cut_off = set(USERS)
        await self.world.start()

    async def lose(self):
        """An answer gets lost on its way."""
        client = self.clients[self.random.choice(USERS)]
        if client.pos is not None:
            with contextlib.suppress(UnknownPos):  # there was a restart
                await self.ask_sliding(client, client.pos)

    def body(self, client, *, whole=False):
        wishes = {"timeline_limit": self.limit, "required_state": self.required_state}
        last = 99
        if self.changes_mind and not whole:
            last = self.random.choice([0, 1, 99])
            wishes["timeline_limit"] = self.random.choice([0, 1, self.limit])
            if self.random.random() < 0.3:
                wishes["required_state"] = self.random.choice(WISHES)
        asked = {"lists": {"all": {"ranges": [[0, last]], **wishes}}, "extensions": EXTENSIONS}
        if self.changes_mind and not whole:
            is_on = self.random.choice([True, True, False])
            name = self.random.choice(list(EXTENSIONS))
            asked["extensions"] = EXTENSIONS | {name: {"enabled": is_on}}
        if self.changes_mind and not whole and self.random.random() < 0.3:
            asked["room_subscriptions"] = {self.random.choice(ROOMS): {"timeline_limit": 5}}
        return asked

    async def ask_sliding(self, client, pos, *, whole=False):
        user_id = next((each for each, one in self.clients.items() if one is client), None)
        session_id = USERS.index(user_id)
        return await self.world.ask(user_id, self.body(client, whole=whole), pos, session_id)

    async def follow(self, user_id, *, whole=False):
        client = self.clients[user_id]
        try:
            answer = await self.ask_sliding(client, client.pos, whole=whole)
        except UnknownPos:
            assert user_id in self.cut_off, "connections go on after a restart"
            client = self.clients[user_id] = SlidingClient()
            answer = await self.ask_sliding(client, None, whole=whole)
        client.apply(answer)
        self.cut_off.discard(user_id)
        ignored = self.ignored(user_id)
        unseen = {self.world.member_event(room_id, user_id).event_id for room_id in self.hidden(user_id)}
        for entry in answer["rooms"].values():
            assert not any(
                is_invite(event, user_id) and event["sender"] in ignored
                for event in entry.get("invite_state", ())
            )
            assert unseen.isdisjoint(event_ids(entry.get("timeline", ())))
            assert unseen.isdisjoint(event_ids(entry.get("required_state", ())))
        if not self.changes_mind and not self.world.unpublished:  # it looks at all rooms, up to now
            joined = {room_id for room_id, room in client.rooms.items() if self.is_in(room_id, room, user_id)}
            assert joined == self.world.joined(user_id)

    def is_in(self, room_id, room, user_id):
        """Whether a user is in a room, as far as their client knows."""
        own = room.state.get((MEMBER, user_id))
        return any(
            each.event.event_id == own and each.event.content["membership"] == "join"
            for each in self.world.committed[room_id]
        )


def is_invite(event, user_id):
    return (event["type"], event.get("state_key")) == (MEMBER, user_id) and (
        event["content"]["membership"] == "invite"
    )


def check(run, user_id, old, fresh):
    world = run.world
    mine = {room_id for room_id in fresh.rooms if world.membership(room_id, user_id) == "join"}
    assert mine == world.joined(user_id)
    assert fresh.counts == old.counts
    for room_id, room in fresh.rooms.items():
        held = old.rooms[room_id]
        if run.required_state is WISHES[0]:
            assert room.state == held.state
        assert {key: held.state.get(key) for key in room.state} == room.state
        shorter = min(len(room.timeline), len(held.timeline))
        assert shorter or not room.timeline
        assert shorter == 0 or room.timeline[-shorter:] == held.timeline[-shorter:]
        told = {
            key: value for key, value in held.fields.items()
            if key in room.fields or (key not in {"avatar", "heroes"} and room_id in mine)
        }  # fmt: skip
        assert told == room.fields
        if room_id in mine and run.required_state is WISHES[0]:
            assert room.state == world.state(room_id)
        if room_id in mine:
            ids = [each for each in world.told_ids(room_id, user_id) if each in set(held.timeline)]
            assert held.timeline == ids
            told_ids = world.told_ids(room_id, user_id)
            assert not ids or ids == told_ids[told_ids.index(ids[0]) :], "nothing in between is missing"
    for room_id in set(old.rooms) - set(fresh.rooms):
        assert world.membership(room_id, user_id) in {"leave", "ban"} or room_id in run.hidden(user_id)
    assert {key: value for key, value in fresh.kept().items() if key[0] in {None, *mine}} == {
        key: value for key, value in old.kept().items() if key[0] in {None, *mine}
    }
    assert {key: old.receipts.get(key) for key in fresh.receipts} == fresh.receipts


@pytest.mark.parametrize("seed", range(200))
async def test_what_a_connection_has_gathered_equals_what_a_fresh_one_is_told(seed):
    await check_run(SlidingRun(seed), steps=80)


@pytest.mark.parametrize("seed", range(8))
async def test_so_it_is_where_the_rows_are_in_the_database(seed, database):
    await check_run(SlidingRun(seed, StoredSlidingWorld(database)), steps=60)


async def check_run(run, steps):
    await run.go(steps)
    for user_id in USERS:
        await run.follow(user_id, whole=True)
        await run.follow(user_id, whole=True)
        fresh = SlidingClient()
        body = run.body(fresh, whole=True)
        fresh.apply(await run.world.ask(user_id, body, session_id=1_000))
        check(run, user_id, run.clients[user_id], fresh)
    run.world.stop()
