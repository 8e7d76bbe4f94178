"""Sliding sync: the extension for sticky events, with a place of its own."""

import asyncio

import msgspec
import pytest

from homeserver.core.errors import InvalidParam
from tests.sync.sliding_world import room_list
from tests.sync.sync_asking import ALICE, BOB, ROOM, ids

NAME = "org.matrix.msc4354.sticky_events"
HOUR_MS = 3_600_000
OTHER = "!other:example.org"


class Device:
    """A client that asks for sticky events and keeps what it is told."""

    def __init__(self, sliding, asked=None, user_id=ALICE):
        self.sliding = sliding
        self.asked = asked or room_list(limit=1)
        self.user_id = user_id
        self.pos = self.since = None

    async def ask(self, **options):
        """Ask; returns what is told, by room: the IDs."""
        part = await self.ask_whole(**options)
        return {room_id: ids(room) for room_id, room in part["rooms"].items()}

    async def ask_whole(self, *, timeout_ms=0, **options):
        extension = {"enabled": True, **options}
        if self.since is not None:
            extension["since"] = self.since
        body = self.asked | {"extensions": {NAME: extension}}
        answer = await self.sliding.ask(self.user_id, body, self.pos, timeout_ms=timeout_ms)
        part = answer["extensions"][NAME]
        self.pos, self.since = answer["pos"], part["next_batch"]
        return part


@pytest.fixture
async def room(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    return ROOM


@pytest.fixture
async def device(sliding, room):
    return Device(sliding)


def call(sliding, room_id=ROOM, sender=BOB, sticky_ms=HOUR_MS, **content):
    return sliding.send(room_id, sender, "org.matrix.msc3401.call.member", sticky_ms=sticky_ms, **content)


def talk(sliding, count=30, room_id=ROOM):
    for number in range(count):
        sliding.send(room_id, ALICE, body=str(number))


async def test_a_client_that_begins_is_told_of_all_and_then_of_what_is_new(sliding, device):
    early = call(sliding)
    talk(sliding)
    assert await device.ask() == {ROOM: [early]}
    assert await device.ask() == {}
    later = call(sliding)
    talk(sliding)
    assert await device.ask() == {ROOM: [later]}


async def test_events_have_their_time_and_no_room(sliding, device):
    call(sliding, member="x")
    talk(sliding, 10)
    (event,) = (await device.ask_whole())["rooms"][ROOM]["events"]

    assert "room_id" not in event
    assert event["content"] == {"member": "x"}
    assert event["msc4354_sticky"] == {"duration_ms": HOUR_MS}
    assert event["unsigned"] == {"age": 10, "msc4354_sticky_duration_ttl_ms": HOUR_MS - 10}


async def test_what_is_in_the_timeline_of_the_answer_is_not_told_twice(sliding, device):
    await device.ask()
    event_id = call(sliding)
    body = device.asked | {"extensions": {NAME: {"enabled": True, "since": device.since}}}
    answer = await sliding.ask(ALICE, body, device.pos)

    assert answer["rooms"][ROOM]["timeline"][0]["event_id"] == event_id
    assert answer["rooms"][ROOM]["timeline"][0]["unsigned"]["msc4354_sticky_duration_ttl_ms"] == HOUR_MS
    assert answer["extensions"][NAME]["rooms"] == {}


async def test_rooms_outside_of_the_window_are_told_of(sliding, room):
    sliding.create(OTHER, ALICE)
    event_id = call(sliding)
    talk(sliding, 30, OTHER)
    device = Device(sliding, room_list(last=0, limit=1))

    assert await device.ask() == {ROOM: [event_id]}
    later = call(sliding, ROOM)
    talk(sliding, 30, OTHER)
    assert await device.ask() == {ROOM: [later]}


async def test_only_rooms_of_lists_and_subscribed_ones_are_told_of(sliding, room):
    sliding.keep(ALICE, "m.tag", {"tags": {"u.work": {}}}, OTHER)
    sliding.create(OTHER, ALICE)
    in_room, in_other = call(sliding), call(sliding, OTHER, ALICE)
    talk(sliding)
    talk(sliding, 30, OTHER)
    device = Device(sliding, room_list(limit=1, filters={"tags": ["u.work"]}))
    assert await device.ask() == {OTHER: [in_other]}
    device.asked |= {"room_subscriptions": {ROOM: {"timeline_limit": 1, "required_state": []}}}

    # The room is new to the scope: what is sticky there came before the place.
    assert await device.ask() == {ROOM: [in_room]}
    assert await device.ask() == {}


async def test_a_room_that_is_joined_is_told_whole(sliding, device):
    sliding.create(OTHER, BOB, "joined")
    event_id = call(sliding, OTHER)
    assert await device.ask() == {}
    sliding.member(OTHER, ALICE, "join")

    assert await device.ask() == {OTHER: [event_id]}
    assert await device.ask() == {}


async def test_an_invited_user_is_told_nothing(sliding, device):
    sliding.create(OTHER, BOB)
    sliding.member(OTHER, ALICE, "invite", sender=BOB)
    call(sliding, OTHER)

    assert await device.ask() == {}


async def test_a_limit_makes_pages_that_follow_at_once(sliding, device):
    event_ids = [call(sliding, n=number) for number in range(25)]
    talk(sliding)
    pages = [(await device.ask(limit=10, timeout_ms=30_000))[ROOM] for _ in range(3)]

    assert pages == [event_ids[:10], event_ids[10:20], event_ids[20:]]
    assert await device.ask() == {}


async def test_a_room_that_is_new_amid_pages_is_told_whole(sliding, device):
    sliding.create(OTHER, BOB)
    early = call(sliding, OTHER)
    event_ids = [call(sliding, n=number) for number in range(15)]
    talk(sliding)
    first = await device.ask(limit=10)
    sliding.member(OTHER, ALICE, "join")
    talk(sliding, 30, OTHER)

    assert first == {ROOM: event_ids[:10]}
    assert await device.ask(limit=10) == {OTHER: [early], ROOM: event_ids[10:]}


async def test_a_new_sticky_event_wakes_a_client_that_waits(sliding, device):
    device.asked = room_list(limit=0)
    await device.ask()
    waits = asyncio.ensure_future(device.ask(timeout_ms=60_000))
    await asyncio.sleep(0)
    event_id = call(sliding)

    assert await waits == {ROOM: [event_id]}


async def test_the_place_goes_on_after_a_restart(sliding, device):
    call(sliding)
    talk(sliding)
    await device.ask()
    await sliding.start()
    later = call(sliding)
    talk(sliding)
    device.pos = None

    assert await device.ask() == {ROOM: [later]}


async def test_ignored_users_and_what_is_over_or_redacted_are_left_out(sliding, device):
    sliding.ignore(ALICE, BOB)
    call(sliding)
    call(sliding, sender=ALICE, sticky_ms=10)
    redacted, kept = call(sliding, sender=ALICE), call(sliding, sender=ALICE)
    sliding.send(ROOM, ALICE, "m.room.redaction", redacts=redacted)
    talk(sliding)

    assert await device.ask() == {ROOM: [kept]}


async def test_a_live_client_reads_nothing_from_the_database(sliding, device):
    await device.ask()
    await device.ask()
    reads = sliding.reads
    event_id = call(sliding)
    sliding.send(ROOM, BOB, body="after")
    assert await device.ask() == {ROOM: [event_id]}

    assert sliding.reads == reads


async def test_an_extension_that_is_off_tells_nothing_and_goes_on_where_it_was(sliding, device):
    await device.ask()
    answer = await sliding.ask(ALICE, device.asked, device.pos)
    assert NAME not in answer["extensions"]
    device.pos = answer["pos"]
    event_id = call(sliding)
    talk(sliding)

    assert await device.ask() == {ROOM: [event_id]}


@pytest.mark.parametrize("limit", [0, 101, -1])
async def test_limits_out_of_bounds_are_refused(sliding, device, limit):
    with pytest.raises(msgspec.ValidationError):
        await device.ask(limit=limit)


@pytest.mark.parametrize("since", ["nonsense", "s1AAAA", ""])
async def test_a_place_that_is_none_is_refused(sliding, device, since):
    device.since = since
    with pytest.raises(InvalidParam):
        await device.ask()
