"""Presence in syncs: random histories, and what a reader has gathered at the end of one."""

import asyncio
import random
from dataclasses import replace

import orjson
import pytest

from homeserver.core.changes import PresenceChange
from homeserver.core.positions import EPHEMERAL_WRITER_OFFSET, SnowflakeClock
from homeserver.sync.notifier import Notifier
from homeserver.sync.request import SyncRequest, parse_since
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM, sync
from tests.sync.sync_world import World, requester

USERS = [f"@user{number}:example.org" for number in range(5)]
ROOMS = [f"!room{number}:example.org" for number in range(3)]


class PresenceWorld(World):
    """A world whose users come and go."""

    members_max = 100

    def __init__(self):
        super().__init__()
        self.ephemeral = SnowflakeClock(EPHEMERAL_WRITER_OFFSET)
        self.present = {}

    async def start(self):
        await super().start()
        self.notifier.stop()
        self.notifier = await Notifier.start(self.bus, self, presence_members_max=self.members_max)
        self.sync._notifier = self.notifier
        self.sync = type(self.sync)(reads=self, notifier=self.notifier, clock=self.clock)

    async def be(self, user_id, presence, status_msg=None, *, active=False):
        """Let a user be so, as the writer of presence does it."""
        await self.notifier.presence.admit(user_id)
        self.clock.ms += 1
        self.present[user_id] = change = PresenceChange(
            self.ephemeral.next(self.clock.ms), user_id, presence, self.clock.ms, active, status_msg
        )
        self.bus.publish([change])


@pytest.fixture
async def present():
    world = PresenceWorld()
    await world.start()
    return world


def told(answer):
    """What an answer says of presence, without ages."""
    events = answer.get("presence", {}).get("events", [])
    for event in events:
        event["content"].pop("last_active_ago", None)
    return {event["sender"]: event["content"] for event in events}


async def ask(world, user_id, since=None, **options):
    request = SyncRequest(requester(user_id), since=parse_since(since), **options)
    answer = orjson.loads(await world.sync.respond(request))
    del answer["device_one_time_keys_count"], answer["device_unused_fallback_key_types"]
    return answer


class Run:
    """One random history."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.world = PresenceWorld()
        self.world.members_max = self.random.choice([2, 3, 100])
        self.lost = 0.2
        self.since = dict.fromkeys(USERS)
        self.gathered = {user_id: {} for user_id in USERS}

    async def membership(self):
        room_id, user_id = self.random.choice(ROOMS), self.random.choice(USERS)
        if room_id not in self.world.committed:
            self.world.create(room_id, user_id)
            return
        held = self.world.membership(room_id, user_id)
        self.world.member(room_id, user_id, "leave" if held == "join" else "join")

    async def change(self):
        presence = self.random.choice(["online", "unavailable", "offline"])
        await self.world.be(self.random.choice(USERS), presence, self.random.choice([None, "a", "b"]))

    async def message(self):
        room_id, user_id = self.random.choice(ROOMS), self.random.choice(USERS)
        if self.world.membership(room_id, user_id) == "join":
            for _ in range(self.random.choice([1, 4])):
                self.world.send(room_id, user_id, body="message")

    async def forget_sizes(self):
        for room_id in list(self.world.notifier.presence._sizes):
            if self.random.random() < 0.5:
                self.world.notifier.presence._forget(room_id)

    async def catch_up(self, user_id=None):
        user_id = user_id or self.random.choice(USERS)
        events_max = self.random.choice([0, 2])
        answer = await ask(self.world, user_id, self.since[user_id], events_max=events_max)
        if self.random.random() < self.lost:
            return  # on its way
        self.since[user_id] = answer["next_batch"]
        self.gathered[user_id].update(told(answer))

    async def go(self):
        await self.world.start()
        actions = [self.membership, self.change, self.change, self.message, self.catch_up, self.catch_up]
        if self.random.random() < 0.3:
            actions.append(self.forget_sizes)
        for _ in range(60):
            await self.random.choice(actions)()
        self.lost = 0.0

    async def catch_up_whole(self, user_id):
        before = ""
        while self.since[user_id] != before:
            before = self.since[user_id]
            await self.catch_up(user_id)


@pytest.mark.parametrize("seed", range(150))
async def test_what_a_reader_has_gathered_is_what_a_first_sync_tells(seed):
    run = Run(seed)
    await run.go()
    for user_id in USERS:
        await run.catch_up_whole(user_id)
        fresh = told(await ask(run.world, user_id))
        assert {each: run.gathered[user_id][each] for each in fresh} == fresh
        rooms = [room_id for room_id in ROOMS if run.world.membership(room_id, user_id) == "join"]
        small = [
            members
            for members in (
                {each for each in USERS if run.world.membership(room_id, each) == "join"} for room_id in rooms
            )
            if len(members) <= run.world.members_max
        ]
        visible = {user_id}.union(*small)
        here = {each for each, change in run.world.present.items() if change.presence != "offline"}
        assert set(fresh) == visible & here
        for each in visible & set(run.gathered[user_id]):
            assert run.gathered[user_id][each]["presence"] == run.world.present[each].presence


async def test_a_change_wakes_those_who_see_the_user_and_nobody_else(present):
    present.create(ROOM, ALICE)
    present.member(ROOM, BOB, "join")
    tokens = {user_id: (await sync(present, user_id))["next_batch"] for user_id in (ALICE, BOB, CAROL)}
    waiting = {
        user_id: asyncio.create_task(ask(present, user_id, token, timeout_ms=60_000))
        for user_id, token in tokens.items()
    }
    for _ in range(5):
        await asyncio.sleep(0)
    reads = present.reads

    await present.be(BOB, "online", active=True)
    for user_id in (ALICE, BOB):
        answer = await asyncio.wait_for(waiting[user_id], 5)
        assert told(answer) == {BOB: {"presence": "online", "currently_active": True}}
        assert set(answer) == {"next_batch", "presence"}
    assert not waiting[CAROL].done()
    assert present.notifier.users.get(CAROL)._waiters
    waiting[CAROL].cancel()
    assert present.reads == reads


async def test_what_is_no_news_wakes_nobody_but_is_told_to_who_asks(present):
    present.create(ROOM, ALICE)
    await present.be(ALICE, "online", active=True)
    since = (await sync(present, ALICE))["next_batch"]
    before = present.present[ALICE]
    present.clock.ms += 4_000
    present.bus.publish([replace(before, last_active_ms=present.clock.ms, is_news=False)])

    assert (await ask(present, ALICE, since)) == {"next_batch": since}
    (event,) = (await sync(present, ALICE))["presence"]["events"]
    assert event["content"]["last_active_ago"] == 0


async def test_a_reader_who_misses_very_many_changes_is_told_all_of_them(present, monkeypatch):
    monkeypatch.setattr("homeserver.sync.presence_news.USERS_MAX", 3)
    present.create(ROOM, ALICE)
    others = [f"@other{number}:example.org" for number in range(10)]
    for user_id in others:
        present.member(ROOM, user_id, "join")
        await present.be(user_id, "online")
    since = (await sync(present, ALICE))["next_batch"]
    for user_id in others:
        await present.be(user_id, "offline")

    answer = told(await sync(present, ALICE, since))
    assert {user_id: content["presence"] for user_id, content in answer.items()} == dict.fromkeys(
        others, "offline"
    )


async def test_a_reader_who_comes_back_to_a_new_process_is_told_how_all_are_now(present):
    present.create(ROOM, ALICE)
    for user_id in (BOB, CAROL):
        present.member(ROOM, user_id, "join")
        await present.be(user_id, "online")
    since = (await sync(present, ALICE))["next_batch"]
    await present.start()
    for user_id, presence in ((BOB, "online"), (CAROL, "offline")):
        await present.be(user_id, presence)

    answer = told(await sync(present, ALICE, since))
    assert {user_id: content["presence"] for user_id, content in answer.items()} == {
        BOB: "online", CAROL: "offline",
    }  # fmt: skip


async def test_a_change_while_the_rooms_of_a_reader_are_counted_is_not_lost(present, monkeypatch):
    present.create(ROOM, ALICE)
    present.member(ROOM, BOB, "join")
    since = (await sync(present, CAROL))["next_batch"]
    counts = present.joined_counts

    async def counting(room_ids):
        await present.be(ALICE, "online")
        return await counts(room_ids)

    monkeypatch.setattr(present, "joined_counts", counting)
    assert set(told(await sync(present, BOB, since))) == {ALICE}


async def test_a_member_who_comes_while_a_room_is_counted_is_counted_once(present, monkeypatch):
    present.members_max = 2
    await present.start()
    present.create(ROOM, ALICE)
    present.member(ROOM, BOB, "join")
    await present.be(ALICE, "online")
    counts = present.joined_counts

    async def counting(room_ids):
        monkeypatch.setattr(present, "joined_counts", counts)
        answer = await counts(room_ids)
        present.member(ROOM, CAROL, "join")
        return answer

    monkeypatch.setattr(present, "joined_counts", counting)
    assert told(await sync(present, BOB)) == {}, "with her there are too many"
    since = (await sync(present, BOB))["next_batch"]
    present.member(ROOM, CAROL, "leave")
    assert set(told(await sync(present, BOB, since))) == {ALICE}


async def test_who_has_left_is_not_told_what_was_noted_before(present):
    present.create(ROOM, ALICE)
    present.member(ROOM, BOB, "join")
    since = (await sync(present, BOB))["next_batch"]
    await present.be(ALICE, "online", "still here")
    present.member(ROOM, BOB, "leave")
    await present.be(ALICE, "online", "a secret of those who stayed")

    assert told(await sync(present, BOB, since)) == {}


async def test_where_state_resolution_changes_members_they_are_counted_again(present):
    present.members_max = 2
    await present.start()
    present.create(ROOM, ALICE)
    for user_id in (BOB, CAROL):
        present.member(ROOM, user_id, "join")
    await present.be(ALICE, "online")
    since = (await sync(present, BOB))["next_batch"]
    # The state loses a member without a member event of hers.
    present.holds_back = True
    present.send(ROOM, ALICE, "m.room.member", CAROL, membership="leave")
    (change,) = present.unpublished
    present.unpublished = [
        replace(change, is_current=False, removed=(("m.room.member", CAROL),), previous_membership=None)
    ]
    present.publish()

    assert set(told(await sync(present, BOB, since))) == {ALICE}
