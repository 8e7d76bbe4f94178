"""Sticky events of other servers: stored, and told later if they were soft-failed and pass then."""

import pytest

from homeserver.core.changes import StickyChange
from homeserver.core.errors import Unavailable
from homeserver.core.pdu_verdicts import SoftFailed
from homeserver.rooms.commands import Draft
from homeserver.rooms.sticky_rechecks import StickyRechecks
from storage.tables import sticky_events
from storage.tables.rooms import Rooms

ALICE, BOB = "@alice:a.example", "@bob:b.example"
HOUR_MS = 3_600_000


@pytest.fixture
async def room(a, b):
    """Make a room of Alice's on one server that Bob of the other one is in."""
    room_id = await a.create(ALICE, "11", preset="public_chat")
    await b.join(BOB, room_id, a)
    return room_id


@pytest.fixture
def rechecks(a):
    return rechecks_of(a)


def rechecks_of(a):
    return StickyRechecks(
        database=a.database, registry=a.registry, events=a.events, clock=a.clock,
        observer=a.observations.append,
    )  # fmt: skip


async def call(server, room_id, sender, sticky_ms=HOUR_MS):
    draft = Draft("m.rtc.member", sender, {}, sticky_ms=sticky_ms)
    event_id = await server.registry.send(room_id, draft)
    return (await server.events.by_id(event_id)).event


async def told(a, room_id):
    """IDs of what is sticky on a server, as sync reads it."""
    rows = await sticky_events.current(
        a.database, a.events, [(room_id, 0)], until=2**62, now_ms=a.clock.now_ms(), ignored=(), limit=100
    )
    return [one.event.event_id for _, one in rows]


async def soft_failed(a, b, room_id, **options):
    """Let Bob, who was banned meanwhile, send a sticky event."""
    await a.send(room_id, ALICE, "m.room.member", {"membership": "ban"}, BOB)
    event = await call(b, room_id, BOB, **options)
    (outcome,) = await a.receive("b.example", room_id, event)
    assert isinstance(outcome, SoftFailed)
    return event


def passed(a):
    return [one for one in a.published if isinstance(one, StickyChange) and not one.is_soft_failed]


async def test_a_sticky_event_of_another_server_is_sticky_here(a, b, room):
    event = await call(b, room, BOB)
    await a.accept("b.example", room, event)

    assert await told(a, room) == await told(b, room) == [event.event_id]


async def test_one_that_is_redacted_before_it_comes_is_not(a, b, room):
    event = await call(b, room, BOB)
    redaction = await b.send(room, BOB, "m.room.redaction", {}, redacts=event.event_id)
    await a.receive("b.example", room, event, redaction)

    assert await told(a, room) == []


async def test_a_soft_failed_one_is_told_when_its_sender_is_back(a, b, room, rechecks):
    event = await soft_failed(a, b, room)
    rechecks.follow(a.published)
    await rechecks.work()
    assert (await told(a, room), passed(a)) == ([], [])

    await a.send(room, ALICE, "m.room.member", {"membership": "leave"}, BOB)
    rechecks.follow(a.published)
    await rechecks.work()
    assert (await told(a, room), passed(a)) == ([], [])  # unbanned is not joined

    a.published.clear()
    await a.accept("b.example", room, await a.member_event(room, BOB, {"membership": "join"}))
    rechecks.follow(a.published)
    await rechecks.work()
    assert await told(a, room) == [event.event_id]
    (change,) = passed(a)
    assert change.event.event_id == event.event_id
    row = await Rooms(a.database).last_positions_by_id([room])
    assert row[room] == change.position

    # Once is enough, and the room goes on.
    await a.say(room, ALICE)
    rechecks.follow(a.published)
    await rechecks.work()
    assert passed(a) == [change]
    assert event.event_id not in await a.timeline(room)


async def test_after_a_restart_what_waits_is_known_and_what_is_over_is_not(a, b, room):
    await soft_failed(a, b, room)
    later = rechecks_of(a)
    await later.start()
    assert room in later._rooms

    a.clock.ms += HOUR_MS + 1_000
    over = rechecks_of(a)
    await over.start()
    assert not over._rooms


async def test_what_cannot_be_checked_just_now_stays_due(a, b, room, rechecks, monkeypatch):
    await soft_failed(a, b, room)
    await rechecks.start()

    async def fails(*args, **options):
        raise Unavailable("Not now.")

    with monkeypatch.context() as patch:
        patch.setattr("homeserver.rooms.sticky_rechecks.soft_failed_in", fails)
        with pytest.raises(Unavailable):
            await rechecks.work()
    assert room in rechecks._due
    await rechecks.work()
    assert not rechecks._due


async def test_in_a_room_with_a_policy_server_none_passes_later(a, b, room, rechecks):
    policy = {"via": "policy.example", "public_keys": {"ed25519": "A" * 43}}
    await a.send(room, ALICE, "m.room.policy", policy, "")
    await soft_failed(a, b, room)
    await a.send(room, ALICE, "m.room.member", {"membership": "leave"}, BOB)
    await a.accept("b.example", room, await a.member_event(room, BOB, {"membership": "join"}))
    rechecks.follow(a.published)
    await rechecks.work()

    assert (await told(a, room), passed(a)) == ([], [])
    await a.send(room, ALICE, "m.room.policy", {}, "")
    rechecks.follow(a.published)
    await rechecks.work()
    assert len(passed(a)) == 1
