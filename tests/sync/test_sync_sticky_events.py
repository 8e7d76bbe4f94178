"""Sticky events in sync: told to everybody in the room while they last, in the timeline or beside it."""

import asyncio

import orjson
import pytest

from homeserver.core.changes import StickyChange
from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken
from homeserver.sync.live_stickies import LiveStickies
from homeserver.sync.request import SyncRequest
from homeserver.sync.sticky_events import STICKY_EVENTS_MAX, StickyEvents, StickyLook
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM, ids, sync
from tests.sync.sync_world import RULES, requester

HOUR_MS = 3_600_000
OTHER = "!other:example.org"


@pytest.fixture
async def room(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    return ROOM


def call(world, room_id, sender=ALICE, sticky_ms=HOUR_MS, **content):
    return world.send(room_id, sender, "org.matrix.msc3401.call.member", sticky_ms=sticky_ms, **content)


def part_of(answer, room_id=ROOM):
    return answer.get("rooms", {}).get("join", {}).get(room_id, {})


def sticky(answer, room_id=ROOM):
    return ids(part_of(answer, room_id).get("msc4354_sticky", {"events": []}))


def timeline(answer, room_id=ROOM):
    return ids(part_of(answer, room_id).get("timeline", {"events": []}))


def talk(world, count, room_id=ROOM):
    for number in range(count):
        world.send(room_id, ALICE, body=str(number))


async def test_what_is_in_the_timeline_is_not_told_twice_and_says_how_long_it_lasts(world, room):
    since = (await sync(world, BOB))["next_batch"]
    event_id = call(world, room)
    answer = await sync(world, BOB, since)

    assert sticky(answer) == []
    (event,) = part_of(answer)["timeline"]["events"]
    assert event["event_id"] == event_id
    assert event["msc4354_sticky"] == {"duration_ms": HOUR_MS}
    assert event["unsigned"]["msc4354_sticky_duration_ttl_ms"] == HOUR_MS


async def test_what_the_timeline_has_no_room_for_is_told_beside_it(world, room):
    since = (await sync(world, BOB))["next_batch"]
    event_id = call(world, room, member="of the call")
    talk(world, 30)
    answer = await sync(world, BOB, since)

    assert event_id not in timeline(answer)
    (event,) = part_of(answer)["msc4354_sticky"]["events"]
    assert event["event_id"] == event_id
    assert event["content"] == {"member": "of the call"}
    assert "room_id" not in event
    assert event["unsigned"] == {"age": 30, "msc4354_sticky_duration_ttl_ms": HOUR_MS - 30}
    assert sticky(await sync(world, BOB, answer["next_batch"])) == []


async def test_what_the_filter_keeps_out_of_the_timeline_is_told_beside_it(world, room):
    wanted = {"room": {"timeline": {"types": ["m.room.message"]}}}
    since = (await sync(world, BOB, wanted=wanted))["next_batch"]
    event_id = call(world, room)

    assert sticky(await sync(world, BOB, since, wanted)) == [event_id]


async def test_a_room_that_is_filtered_out_has_no_sticky_events(world, room):
    wanted = {"room": {"not_rooms": [ROOM], "timeline": {"limit": 1}}}
    call(world, room)
    talk(world, 5)

    assert "rooms" not in await sync(world, BOB, wanted=wanted)


async def test_a_client_that_begins_is_told_of_all(world, room):
    event_ids = [call(world, room), call(world, room, BOB)]
    talk(world, 30)

    assert sticky(await sync(world, BOB)) == event_ids


@pytest.mark.parametrize("visibility", ["shared", "joined"])
async def test_who_comes_later_is_told_of_what_was_sent_before_even_if_history_is_hidden(world, visibility):
    world.create(ROOM, ALICE, visibility)
    world.create(OTHER, CAROL)
    since = (await sync(world, CAROL))["next_batch"]
    event_id = call(world, ROOM)
    talk(world, 30)
    assert part_of(await sync(world, CAROL, since)) == {}
    world.member(ROOM, CAROL, "join")
    answer = await sync(world, CAROL, since)

    assert event_id not in timeline(answer)
    assert sticky(answer) == [event_id]


async def test_who_is_not_in_the_room_is_told_nothing(world, room):
    world.member(room, CAROL, "invite", sender=ALICE)
    call(world, room)
    answer = await sync(world, CAROL)

    assert "join" not in answer["rooms"]
    assert b"msc4354_sticky" not in orjson.dumps(answer)


async def test_it_is_over_when_its_time_is_over(world, room):
    short, long = call(world, room, sticky_ms=1_000), call(world, room, sticky_ms=5_000)
    talk(world, 30)
    assert sticky(await sync(world, BOB)) == [short, long]
    world.clock.ms += 1_000

    assert sticky(await sync(world, BOB)) == [long]
    world.clock.ms += 4_000
    assert sticky(await sync(world, BOB)) == []


async def test_an_event_that_is_over_says_no_time_in_the_timeline(world, room):
    call(world, room, sticky_ms=1_000)
    world.clock.ms += 1_000
    (event,) = part_of(await sync(world, BOB))["timeline"]["events"][-1:]

    assert event["msc4354_sticky"] == {"duration_ms": 1_000}
    assert "msc4354_sticky_duration_ttl_ms" not in event["unsigned"]


async def test_what_is_redacted_is_not_sticky_any_more(world, room):
    event_id = call(world, room)
    talk(world, 30)
    world.send(room, ALICE, "m.room.redaction", redacts=event_id)

    assert sticky(await sync(world, BOB)) == []


async def test_who_is_ignored_is_not_heard(world, room):
    world.ignore(BOB, ALICE)
    call(world, room)
    event_id = call(world, room, BOB)
    for number in range(30):
        world.send(room, BOB, body=str(number))

    assert sticky(await sync(world, BOB)) == [event_id]


async def test_there_is_one_order_over_all_rooms_and_the_rest_follows_in_pages(world, room):
    world.create(OTHER, BOB)
    event_ids = [call(world, (ROOM, OTHER)[number % 2], BOB, n=number) for number in range(250)]
    talk(world, 30)
    for number in range(30):
        world.send(OTHER, BOB, body=str(number))

    told, pages, since = [], [], None
    for _ in range(3):
        answer = await sync(world, BOB, since)
        pages.append(sticky(answer) + sticky(answer, OTHER))
        told += pages[-1]
        since = answer["next_batch"]
    assert [len(page) for page in pages] == [STICKY_EVENTS_MAX, STICKY_EVENTS_MAX, 50]
    assert sorted(told) == sorted(event_ids)
    assert set(pages[0]) == set(event_ids[:STICKY_EVENTS_MAX])
    assert "rooms" not in await sync(world, BOB, since)


async def test_pages_are_told_at_once_though_nothing_new_happens(world, room):
    since = (await sync(world, BOB))["next_batch"]
    for number in range(150):
        call(world, room, n=number)
    talk(world, 30)
    first = await sync(world, BOB, since, timeout_ms=30_000)
    second = await sync(world, BOB, first["next_batch"], timeout_ms=30_000)

    assert (len(sticky(first)), len(sticky(second))) == (100, 50)


async def test_a_room_that_is_joined_while_pages_follow_is_told_whole(world, room):
    world.create(OTHER, ALICE)
    early = call(world, OTHER)
    talk(world, 30, OTHER)
    event_ids = [call(world, room, n=number) for number in range(150)]
    talk(world, 30)
    first = await sync(world, BOB)
    world.member(OTHER, BOB, "join")
    second = await sync(world, BOB, first["next_batch"])

    assert sticky(second, OTHER) == [early]
    assert sticky(first) + sticky(second) == event_ids


async def test_a_live_client_reads_nothing_from_the_database(world, room):
    since = (await sync(world, BOB))["next_batch"]
    wanted = {"room": {"timeline": {"types": ["m.room.message"]}}}
    reads = world.reads
    for _ in range(3):
        event_id = call(world, room)
        answer = await sync(world, BOB, since, wanted)
        assert sticky(answer) == [event_id]
        since = answer["next_batch"]

    assert world.reads == reads


async def test_after_a_restart_the_database_tells_what_is_sticky(world, room):
    event_id = call(world, room)
    talk(world, 30)
    since = (await sync(world, BOB))["next_batch"]
    await world.start()
    later = call(world, room)
    talk(world, 30)

    assert sticky(await sync(world, BOB)) == [event_id, later]
    assert sticky(await sync(world, BOB, since)) == [later]


async def test_an_hour_after_a_restart_memory_knows_all(world, room):
    call(world, room)
    await world.start()
    world.clock.ms += HOUR_MS
    event_id = call(world, room)
    talk(world, 30)
    await sync(world, BOB)
    asked = []
    world.sticky_events = asked.append

    assert sticky(await sync(world, BOB)) == [event_id]
    assert not asked


async def test_the_sender_knows_the_event_by_its_transaction_or_delay_id(world, room):
    since = (await sync(world, ALICE))["next_batch"]
    world.holds_back = True
    for transaction_id, delay_id in (("t1", None), (None, "d1")):
        call(world, room)
        change = world.unpublished[-1]
        change.session_id, change.transaction_id, change.delay_id = 1, transaction_id, delay_id
    world.publish()
    wanted = {"room": {"timeline": {"types": ["m.room.message"]}}}
    own = part_of(await sync(world, ALICE, since, wanted))["msc4354_sticky"]["events"]
    others = part_of(await sync(world, ALICE, since, wanted, session_id=2))["msc4354_sticky"]["events"]
    in_timeline = part_of(await sync(world, ALICE, since))["timeline"]["events"]

    for events in (own, in_timeline):
        assert [event["unsigned"].get("transaction_id") for event in events] == ["t1", None]
        delay_ids = [event["unsigned"].get("org.matrix.msc4140.delay_id") for event in events]
        assert delay_ids == [None, "d1"]
    for event in others:
        assert not {"transaction_id", "org.matrix.msc4140.delay_id"} & set(event["unsigned"])


async def test_filters_say_which_fields_and_which_format(world, room):
    event_id = call(world, room, member="x")
    talk(world, 30)
    fields = await sync(world, BOB, wanted={"event_fields": ["content"]})
    federation = await sync(world, BOB, wanted={"event_format": "federation"})

    assert part_of(fields)["msc4354_sticky"]["events"] == [{"content": {"member": "x"}}]
    (event,) = part_of(federation)["msc4354_sticky"]["events"]
    assert event["depth"] == 6
    assert event_id


def soft_failed_call(world):
    """Make a sticky event that no timeline has."""
    pdu = dict(world.committed[ROOM][-1].event.pdu)
    pdu |= {"type": "m.rtc.member", "content": {}, "msc4354_sticky": {"duration_ms": HOUR_MS}}
    pdu.pop("state_key", None)
    return Event.from_pdu(pdu, RULES)


async def test_one_that_was_soft_failed_is_told_when_it_passes_and_wakes_who_waits(world, room):
    since = (await sync(world, BOB))["next_batch"]
    event = soft_failed_call(world)
    position = world.snowflakes.next(world.clock.ms)
    world.bus.publish([StickyChange(position, ROOM, event, is_soft_failed=True)])
    answer = await sync(world, BOB, since)
    assert "rooms" not in answer

    waits = asyncio.ensure_future(sync(world, BOB, answer["next_batch"], timeout_ms=60_000))
    await asyncio.sleep(0)
    world.bus.publish([StickyChange(world.snowflakes.next(world.clock.ms), ROOM, event)])
    answer = await waits
    assert sticky(answer) == [event.event_id]
    assert "timeline" not in part_of(answer)
    assert sticky(await sync(world, BOB, since)) == [event.event_id]
    assert sticky(await sync(world, BOB, answer["next_batch"])) == []


class TestMemory:
    """What memory holds, and what it says of what it does not."""

    @staticmethod
    def change(world, sticky_ms=HOUR_MS):
        call(world, ROOM, sticky_ms=sticky_ms)
        return world.committed[ROOM][-1]

    async def test_what_had_to_go_is_asked_for_until_it_is_over(self, world, room):
        live = LiveStickies(SyncToken(), events_max=2)
        changes = [self.change(world) for _ in range(3)]
        for change in changes:
            live.take_in(change)

        assert [shown.position for shown in live.of(ROOM)] == [one.position for one in changes[1:]]
        now_ms = world.clock.ms
        assert not live.knows_all_after(0, now_ms)
        assert live.knows_all_after(changes[0].position, now_ms)
        assert live.knows_all_after(0, now_ms + HOUR_MS)

    async def test_its_size_is_bounded_too(self, world, room):
        changes = [self.change(world) for _ in range(3)]
        live = LiveStickies(SyncToken(), bytes_max=len(changes[0].event.canonical) * 2)
        for change in changes:
            live.take_in(change)
        assert len(list(live.of(ROOM))) == 2

    async def test_what_is_over_makes_way(self, world, room):
        live = LiveStickies(SyncToken(), events_max=2)
        live.take_in(self.change(world, 10))
        world.clock.ms += 20
        kept = [self.change(world) for _ in range(2)]
        for change in kept:
            live.take_in(change)

        assert [shown.position for shown in live.of(ROOM)] == [one.position for one in kept]
        assert live.knows_all_after(0, world.clock.ms)

    async def test_what_was_dropped_is_read_from_the_database(self, world, room):
        event_ids = [call(world, ROOM) for _ in range(3)]
        talk(world, 30)
        small = LiveStickies(SyncToken(), events_max=2)
        for change in world.committed[ROOM]:
            small.take_in(change)
        source = StickyEvents(world, small)
        user = await world.notifier.users.find(BOB)
        look = StickyLook(
            requester(BOB), user, None, world.notifier.heard, world.clock.ms, 2, [ROOM], [], lambda: ()
        )
        part = await source.tell(look)
        assert [shown.event.event_id for shown in part.rooms[ROOM]] == event_ids[:2]
        assert part.told_until == world.committed[ROOM][6].position


async def test_who_follows_for_long_is_told_at_once_that_there_is_more(world, room):
    event_ids = [call(world, room, n=number) for number in range(150)]
    talk(world, 30)
    async with world.sync.following(SyncRequest(requester(BOB))) as follower:
        first, more = await follower.look()
        assert more
        assert follower.glance() is None, "what follows is nobody else's"
        second, more = await follower.look()
        assert not more
    assert sticky(orjson.loads(first.body)) + sticky(orjson.loads(second.body)) == event_ids
