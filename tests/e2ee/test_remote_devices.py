"""Devices of users of other servers: kept as long as their servers tell of them, and told as they are."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import pytest

from homeserver.core.changes import DeviceListChange, EventChange
from homeserver.core.errors import Unavailable
from homeserver.e2ee.device_lists import DeviceLists
from homeserver.e2ee.kept_devices import KeptDevices
from homeserver.e2ee.remote_devices import DeviceListsRead, RemoteDeviceLists
from storage.tables import remote_devices as stored

ALICE, BOB, CAROL = "@alice:here", "@bob:one.example", "@carol:two.example"
ONE = "one.example"
MASTER_KEY = "nqOvzeuGWT/sRx3h7+MHoInYj3Uk2LD/unI9kDYcHwk"


class Audience:
    @asynccontextmanager
    async def admitted(self, user_id):
        yield user_id


class Journal:
    """Takes writes into the void; the outbox stays as it is."""

    def __init__(self):
        self.told = []
        self.position = 0

    def next_position(self):
        self.position += 1
        return self.position

    async def append(self, write):
        self.told += [(change.user_id, change.told_to) for change in write.changes]

    def take(self):
        told, self.told = self.told, []
        return told


class Remote:
    """One user's server."""

    def __init__(self):
        self.answers = {}
        self.asked = []
        self.gate = None
        self.reached = asyncio.Event()

    async def devices(self, server_name, user_id):
        self.asked.append((server_name, user_id))
        answer = self.answers.get(user_id, Unavailable("down"))
        if self.gate is not None:
            self.reached.set()
            await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    ms = 1_000_000

    def now_ms(self):
        return self.ms

    monotonic_ms = now_ms


class World:
    def __init__(self, database):
        self.database = database
        self.journal, self.remote, self.clock = Journal(), Remote(), Clock()
        self.seen, self.news = [], asyncio.Event()
        self.kept = KeptDevices(database)
        self.lists = RemoteDeviceLists(
            database=database,
            device_lists=DeviceLists(database=database, journal=self.journal, audience=Audience()),
            kept=self.kept, remote=self.remote, clock=self.clock, observer=self.observe,
            server_name="here",
        )  # fmt: skip

    async def meet(self, *user_ids, room=1, ours=1):
        execute = self.database.execute
        await execute(
            "INSERT INTO rooms (room_nid, room_id, version, creator_nid, created_ms)"
            " OVERRIDING SYSTEM VALUE VALUES (%b::bigint, %b, '11', 1, 1)",
            room, f"!room{room}:here",
        )  # fmt: skip
        await execute("INSERT INTO room_counts VALUES (%b::bigint, 2, %b::integer)", room, ours)
        for user_id in user_ids:
            await execute("INSERT INTO interned_users (text) VALUES (%b) ON CONFLICT DO NOTHING", user_id)
            await execute(
                "INSERT INTO memberships (room_nid, user_nid, position, is_local, membership, event_id)"
                " SELECT %b::bigint, nid, 1, %b::boolean, 'join', '$e' FROM interned_users WHERE text = %b",
                room, user_id.endswith(":here"), user_id,
            )  # fmt: skip

    async def part(self, user_id):
        await self.database.execute(
            "UPDATE memberships SET membership = 'leave' WHERE user_nid ="
            " (SELECT nid FROM interned_users WHERE text = %b)",
            user_id,
        )

    async def ask(self, *user_ids, devices=()):
        told = {"device_keys": {}, "master_keys": {}, "self_signing_keys": {}}
        left = await self.kept.answer({ONE: {user_id: list(devices) for user_id in user_ids}}, told)
        return told, left

    def observe(self, observation):
        self.seen.append(observation)
        self.news.set()

    async def until_kept(self, *user_ids):
        while (await self.ask(*user_ids))[1]:
            await self.news.wait()
            self.news.clear()

    async def keep(self, stream_id=5, devices=("A",), **more):
        await self.kept.want([BOB])
        self.remote.answers[BOB] = snapshot(stream_id, *devices, **more)
        await self.lists.read_stale()

    async def devices(self):
        """Those that are told from what is kept; None if it is not up to date."""
        told, left = await self.ask(BOB)
        return None if left else sorted(told["device_keys"][BOB])


def keys(device_id, user_id=BOB):
    return {"user_id": user_id, "device_id": device_id, "algorithms": [], "keys": {}, "signatures": {}}


def snapshot(stream_id, *devices, user_id=BOB, **more):
    listed = [{"device_id": each, "keys": keys(each, user_id)} for each in devices]
    return {"user_id": user_id, "stream_id": stream_id, "devices": listed, **more}


def update(device_id, stream_id, *previous, user_id=BOB, **more):
    return {
        "user_id": user_id, "device_id": device_id, "stream_id": stream_id, "prev_id": list(previous),
        "keys": keys(device_id, user_id), **more,
    }  # fmt: skip


def master(user_id=BOB):
    return {"user_id": user_id, "usage": ["master"], "keys": {f"ed25519:{MASTER_KEY}": MASTER_KEY}}


@pytest.fixture
async def world(database):
    world = World(database)
    await world.meet(ALICE, BOB)
    return world


async def test_a_list_is_read_once_somebody_asked_and_answers_from_then_on(world):
    assert await world.devices() is None
    await world.keep(devices=("A", "B"), master_key=master())

    assert world.remote.asked == [(ONE, BOB)]
    assert world.seen == [DeviceListsRead(1, 0)]
    told, left = await world.ask(BOB, devices=("B",))
    assert left == {}
    assert told["device_keys"][BOB] == {"B": {**keys("B"), "unsigned": {}}}
    assert told["master_keys"] == {BOB: master()}
    assert told["self_signing_keys"] == {}
    assert world.journal.take() == [], "nobody was told anything else before"


async def test_only_those_who_share_a_room_with_ours_are_kept(world):
    await world.meet(CAROL, room=2, ours=0)
    await world.kept.want([BOB, CAROL, "@nobody:one.example"])
    assert world.kept.wanted.is_set()
    await world.lists.read_stale()

    assert world.remote.asked == [(ONE, BOB)]


async def test_updates_in_order_are_taken_in_and_told(world):
    await world.keep()
    await world.lists.device_list_update(ONE, update("B", 6, 5))
    assert await world.devices() == ["A", "B"]
    await world.lists.device_list_update(ONE, update("B", 7, 6, device_display_name="Phone"))
    told, _ = await world.ask(BOB)
    assert told["device_keys"][BOB]["B"]["unsigned"] == {"device_display_name": "Phone"}
    await world.lists.device_list_update(ONE, update("A", 8, 7, deleted=True))

    assert await world.devices() == ["B"]
    assert world.journal.take() == [(BOB, None)] * 3
    assert world.remote.asked == [(ONE, BOB)]


async def test_a_repetition_is_no_news(world):
    await world.keep()
    for _ in range(2):
        await world.lists.device_list_update(ONE, update("B", 6, 5))

    assert world.journal.take() == [(BOB, None)]
    assert await world.devices() == ["A", "B"]


@pytest.mark.parametrize(
    "lost", [update("B", 8, 7), update("B", 6), update("B", 3, 2)], ids=["gap", "no place", "goes back"]
)
async def test_where_something_is_missing_the_list_is_read_anew(world, lost):
    await world.keep()
    await world.lists.device_list_update(ONE, lost)

    assert await world.devices() is None, "the user's server is asked meanwhile"
    assert world.journal.take() == [(BOB, None)]
    world.remote.answers[BOB] = snapshot(9, "B", "C")
    await world.lists.read_stale()
    assert await world.devices() == ["B", "C"]
    await world.lists.device_list_update(ONE, update("D", 10, 9))
    assert await world.devices() == ["B", "C", "D"]


async def test_what_comes_while_a_list_is_read_is_not_lost(world):
    await world.keep()
    await world.lists.device_list_update(ONE, update("B", 8, 7))
    world.remote.gate = asyncio.Event()
    reading = asyncio.ensure_future(world.lists.read_stale())
    await world.remote.reached.wait()
    await world.lists.device_list_update(ONE, update("C", 9, 8))
    world.remote.gate.set()
    await reading

    assert await world.devices() is None, "what was read is of before"
    world.remote.answers[BOB] = snapshot(9, "A", "B", "C")
    assert await world.lists.read_stale() == 0, "not at once"
    world.clock.ms += 1_000
    await world.lists.read_stale()
    assert await world.devices() == ["A", "B", "C"]


async def test_a_server_that_is_down_is_asked_again_later_and_later(world):
    await world.kept.want([BOB])
    asked = []
    for _ in range(20_000):
        if await world.lists.read_stale():
            asked.append(world.clock.ms)
            if len(asked) == 4:
                break
        world.clock.ms += 10_000

    assert [after - before for before, after in itertools.pairwise(asked)] == [
        60_000, 120_000, 240_000,
    ]  # fmt: skip
    assert world.journal.take() == []
    world.remote.answers[BOB] = snapshot(1, "A")
    world.clock.ms += 3_600_000
    await world.lists.read_stale()
    assert await world.devices() == ["A"]
    assert world.journal.take() == [(BOB, None)], "who asked got no answer"


async def test_one_server_takes_no_others_turn(world):
    users = [f"@u{number}:one.example" for number in range(9)]
    await world.meet(*users, CAROL, room=2)
    await world.kept.want([*users, CAROL])
    await world.lists.read_stale()

    assert sorted(server for server, _ in world.remote.asked) == [ONE] * 5 + ["two.example"]


async def test_all_lists_are_read_in_the_end_and_those_that_are_wanted_later(world):
    users = [f"@u{number}:one.example" for number in range(12)]
    await world.meet(*users, CAROL, room=2)
    world.remote.answers = {user_id: snapshot(1, "A", user_id=user_id) for user_id in (*users, CAROL)}
    await world.kept.want(users)
    running = asyncio.ensure_future(world.lists.run())
    async with asyncio.timeout(20):
        await world.until_kept(*users)
        await world.kept.want([CAROL])
        await world.until_kept(CAROL)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_nothing_is_heard_of_strangers_nor_believed_of_others_users(world):
    await world.keep()
    await world.lists.device_list_update("two.example", update("B", 6, 5))
    await world.lists.device_list_update("two.example", update("B", 6, 5, user_id=CAROL))
    await world.lists.signing_key_update("two.example", {"user_id": BOB, "master_key": master()})
    for wrong in (
        {}, {"user_id": 7}, update("B", "6", 5), update("B", 6, "5"), update("", 6, 5), update("B", -1),
        update("B", 6, 5, keys=keys("C")), update("B", 6, 5, keys="none"), update("B", 6.0, 5),
        update("B\0", 6, 5), update("B", 2**63, 5), update("B", 6, *[5] * 101),
        update("B", 6, 5, keys={**keys("B"), "more": "x" * 70_000}),
    ):  # fmt: skip
        await world.lists.device_list_update(ONE, wrong)

    assert world.journal.take() == []
    assert await world.devices() == ["A"]


async def test_an_update_of_a_list_that_is_not_kept_is_told(world):
    await world.lists.device_list_update(ONE, update("B", 6, 5))

    assert world.journal.take() == [(BOB, None)]
    assert await world.devices() is None


async def test_new_signing_keys_are_kept_and_told(world):
    await world.keep()
    await world.lists.signing_key_update(ONE, {"user_id": BOB, "master_key": master()})
    told, _ = await world.ask(BOB)
    assert told["master_keys"] == {BOB: master()}
    assert world.journal.take() == [(BOB, None)]

    await world.lists.signing_key_update(ONE, {"user_id": BOB, "master_key": master(CAROL)})
    assert world.journal.take() == []


class _Event:
    type = "m.room.member"

    def __init__(self, user_id):
        self.state_key = user_id


@pytest.mark.parametrize("who", [BOB, ALICE])
async def test_who_shares_no_room_any_more_is_forgotten(world, who):
    await world.lists.forget_unshared()
    await world.keep()
    await world.part(who)
    if who == ALICE:
        await world.database.execute("UPDATE room_counts SET joined_local = 0")
    assert await world.devices() is None, "the server tells of nothing any more"
    world.lists.follow(
        [
            DeviceListChange(1, BOB),
            EventChange(2, "!room1:here", _Event(who), previous_membership="join"),
        ]
    )
    assert world.kept.wanted.is_set()
    await world.lists.forget_unshared()

    assert await stored.lock(world.database, BOB) is None


async def test_at_the_start_all_are_looked_at(world):
    await world.keep()
    await world.part(BOB)
    await world.lists.forget_unshared()

    assert await stored.lock(world.database, BOB) is None


async def test_what_was_read_of_who_is_gone_meanwhile_is_dropped(world):
    await world.kept.want([BOB])
    world.remote.gate = asyncio.Event()
    world.remote.answers[BOB] = snapshot(5, "A")
    reading = asyncio.ensure_future(world.lists.read_stale())
    await world.remote.reached.wait()
    await world.part(BOB)
    await world.lists.forget_unshared()
    world.remote.gate.set()
    await reading

    assert await stored.lock(world.database, BOB) is None
    assert await world.devices() is None


async def test_the_readers_signatures_are_shown_on_the_keys_they_are_of(world):
    await world.keep(master_key=master())
    for target in (MASTER_KEY, "another"):
        await world.database.execute(
            "INSERT INTO key_signatures VALUES (%b, %b, %b, 'ed25519:X', 'signature')", BOB, target, ALICE
        )
    told, _ = await world.ask(BOB)
    await world.kept.add_signatures(ALICE, [BOB, CAROL], told)
    assert told["master_keys"][BOB]["signatures"] == {ALICE: {"ed25519:X": "signature"}}

    told, _ = await world.ask(BOB)
    await world.kept.add_signatures("@dave:here", [BOB], told)
    assert told["master_keys"][BOB].get("signatures", {}) == {}


async def test_no_more_devices_than_that_are_kept(world):
    await world.keep(devices=[f"D{number}" for number in range(1_001)])
    assert len(await world.devices()) == 1_000
    await world.lists.device_list_update(ONE, update("E", 6, 5))
    assert await world.devices() is None
