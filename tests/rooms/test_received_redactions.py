"""Redactions of other servers: before and after what they redact, with the right to and without."""

import pytest

from homeserver.core.pdu_verdicts import Accepted, SoftFailed
from storage.tables.events import EventFlags
from tests.factory.forging import forged

ALICE, BOB, DORA = "@alice:a.example", "@bob:b.example", "@dora:b.example"
OLD = ("1",)
VERSIONS = ("1", "6", "11", "12")


@pytest.fixture(params=VERSIONS)
async def room(request, a, b):
    room_id = await a.create(ALICE, request.param, preset="public_chat")
    await b.join(BOB, room_id, a)
    return room_id


async def prev_of(server, event):
    return [(await server.events.by_id(one)).event for one in event.prev_events]


async def is_redacted(server, event_id):
    return (await server.events.by_id(event_id)).is_redacted


async def beside(server, event, redacts, **other):
    """Make a redaction that follows the same as an event, and so may come without what it redacts."""
    return forged(
        event, type="m.room.redaction", content={"reason": "spam"}, state_key=None, redacts=redacts,
        prev_events=await prev_of(server, event), **other,
    )  # fmt: skip


async def test_a_redaction_takes_effect(a, b, room):
    said = await a.say(room, ALICE)
    await b.accept("a.example", room, said)
    redaction = await a.send(room, ALICE, "m.room.redaction", {}, redacts=said.event_id)
    await b.accept("a.example", room, redaction)

    stored = await b.events.by_id(said.event_id)
    assert stored.is_redacted
    assert stored.event.content == {}
    assert stored.event.redacted_because.event_id == redaction.event_id
    assert redaction.event_id in await b.timeline(room)
    assert b.published[-1].redacted.event_id == said.event_id


async def test_a_redaction_waits_for_its_event(a, b, room):
    said = await a.say(room, ALICE)
    redaction = await beside(a, said, said.event_id)
    await b.accept("a.example", room, redaction)
    is_shown = redaction.event_id in await b.timeline(room)
    assert is_shown == (redaction.rules.version in OLD)  # there, it was checked already

    await b.accept("a.example", room, said)
    stored = await b.events.by_id(said.event_id)
    assert stored.is_redacted
    assert stored.event.content == {}
    assert {said.event_id, redaction.event_id} <= set(await b.timeline(room))
    assert b.published[-1].event.content == {}


async def test_a_waiting_redaction_outlives_a_crash(a, b, room):
    said = await a.say(room, ALICE)
    redaction = await beside(a, said, said.event_id)
    await b.accept("a.example", room, redaction)
    await b.crash()
    await b.start()
    await b.accept("a.example", room, said)

    assert await is_redacted(b, said.event_id)


async def test_a_redaction_without_the_right_to_is_not_shown(a, b, room):
    said = await a.say(room, ALICE)
    await b.accept("a.example", room, said)
    like = await b.say(room, BOB)
    redaction = await beside(b, like, said.event_id, sender=BOB)
    (outcome,) = await a.receive("b.example", room, redaction)

    assert not await is_redacted(a, said.event_id)
    assert redaction.event_id not in await a.timeline(room)
    if redaction.rules.version not in OLD:  # it is in the graph all the same
        assert isinstance(outcome, Accepted)
        assert EventFlags.WITHHELD in await a.flags(redaction.event_id)
        assert redaction.event_id in await a.extremities(room)


async def test_a_waiting_redaction_without_the_right_to_stays_hidden(a, b, room):
    said = await a.say(room, ALICE)
    like = await b.say(room, BOB)
    redaction = await beside(b, like, said.event_id)
    await b.receive("b.example", room, redaction)
    if redaction.rules.version in OLD:
        pytest.skip("is rejected, by the domain of the event ID")
    await b.accept("a.example", room, said)

    assert not await is_redacted(b, said.event_id)
    assert redaction.event_id not in await b.timeline(room)
    room_nid = (await b.registry.actor(room)).room_nid
    assert await b.graph.waiting_redactions(room_nid, said.event_id) == []


async def test_users_of_a_server_may_redact_what_others_of_it_have_said(a, b, room):
    await b.send(room, DORA, "m.room.member", {"membership": "join"}, DORA)
    said = await b.say(room, BOB)
    for event_id in [*said.prev_events]:
        await a.receive("b.example", room, (await b.events.by_id(event_id)).event)
    await a.accept("b.example", room, said)
    redaction = await b.send(room, DORA, "m.room.redaction", {}, redacts=said.event_id)
    await a.accept("b.example", room, redaction)

    assert await is_redacted(a, said.event_id)


async def test_redacted_state_is_redacted_in_memory(a, b, room):
    topic = await a.send(room, ALICE, "m.room.topic", {"topic": "secret"}, "")
    await b.accept("a.example", room, topic)
    redaction = await a.send(room, ALICE, "m.room.redaction", {}, redacts=topic.event_id)
    await b.accept("a.example", room, redaction)

    in_memory = (await b.registry.actor(room)).state.get(("m.room.topic", ""))
    assert in_memory.event_id == topic.event_id
    assert in_memory.content == {}


async def test_an_outlier_that_was_redacted_stays_so_when_it_comes(a, b, room, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.ingest.FETCHES_DEEP_MAX", 0)
    topic = await a.send(room, ALICE, "m.room.topic", {"topic": "secret"}, "")
    await a.say(room, ALICE, "lost")
    last = await a.say(room, ALICE, "told")
    await b.accept("a.example", room, last)
    redaction = await a.send(room, ALICE, "m.room.redaction", {}, redacts=topic.event_id)
    await b.accept("a.example", room, redaction)
    assert await is_redacted(b, topic.event_id)
    await b.accept("a.example", room, topic)

    stored = await b.events.by_id(topic.event_id)
    assert stored.is_redacted
    assert not stored.flags & EventFlags.OUTLIER
    in_memory = (await b.registry.actor(room)).state.get(("m.room.topic", ""))
    assert in_memory.content == stored.event.content == {}
    told = [change.event for change in b.published if change.event.event_id == topic.event_id]
    assert [event.content for event in told] == [{}]
    assert told[0].redacted_because.event_id == redaction.event_id


async def test_a_second_redaction_changes_nothing_more(a, b, room):
    said = await a.say(room, ALICE)
    first = await a.send(room, ALICE, "m.room.redaction", {"reason": "1"}, redacts=said.event_id)
    second = await a.send(room, ALICE, "m.room.redaction", {"reason": "2"}, redacts=said.event_id)
    await b.accept("a.example", room, said, first, second)

    stored = await b.events.by_id(said.event_id)
    assert stored.event.redacted_because.event_id == first.event_id
    assert second.event_id in await b.timeline(room)


async def test_a_soft_failed_redaction_redacts_nothing(a, b, room):
    said = await b.say(room, BOB)
    await a.accept("b.example", room, said)
    await a.send(room, ALICE, "m.room.member", {"membership": "ban"}, BOB)
    redaction = await b.send(room, BOB, "m.room.redaction", {}, redacts=said.event_id)
    (outcome,) = await a.receive("b.example", room, redaction)

    assert isinstance(outcome, SoftFailed)
    assert not await is_redacted(a, said.event_id)


async def test_a_redaction_of_another_room_redacts_nothing(a, b, room):
    other = await a.create(ALICE, "12", preset="public_chat")
    said = await a.say(other, ALICE)
    like = await a.say(room, ALICE)
    redaction = await beside(a, like, said.event_id)
    await a.receive("a.example", room, redaction)

    assert not await is_redacted(a, said.event_id)
