"""Messages of one sending, which are placed before those before them are stored; the outcome is the same."""

import pytest

from homeserver.core.errors import Unavailable
from homeserver.core.pdu_verdicts import Accepted, SoftFailed
from tests.rooms.test_ingest import ALICE, BOB, VERSIONS, levels, same

COUNT = 12


@pytest.fixture(params=VERSIONS)
async def room(request, a, b):
    """Make a room of Alice's on one server that Bob of the other one is in."""
    room_id = await a.create(ALICE, request.param, preset="public_chat")
    await b.join(BOB, room_id, a)
    return room_id


@pytest.fixture
def flushes(b, monkeypatch):
    """Note of each write of the second server whether another one was on the way into storage."""
    appended = []
    append = b.registry.append

    def noting(actor, write):
        appended.append(actor.last_commit is not None)
        return append(actor, write)

    monkeypatch.setattr(b.registry, "append", noting)
    return appended


async def row_of(server, room, user_id, count=COUNT):
    return [await server.say(room, user_id, str(number)) for number in range(count)]


async def test_a_row_of_messages_is_placed_at_once(a, b, room, flushes):
    row = await row_of(a, room, ALICE)
    outcomes = await b.receive("a.example", room, *row)

    assert all(isinstance(one, Accepted) for one in outcomes)
    assert (await b.timeline(room))[-COUNT:] == [one.event_id for one in row]
    await same(a, b, room)
    # All but the first came while those before them were on the way into storage.
    assert flushes == [False] + [True] * (COUNT - 1)
    group = (await b.registry.actor(room)).chain.group
    stored = await b.events.by_ids([event.event_id for event in row])
    assert {one.state_group for one in stored.values()} == {group}


async def test_a_row_comes_in_any_order_and_more_than_once(a, b, room):
    row = await row_of(a, room, ALICE)
    await b.receive("a.example", room, *row[:3])
    outcomes = await b.receive("a.example", room, *reversed(row))

    assert [one is None for one in outcomes].count(True) == 3
    assert (await b.timeline(room))[-COUNT:] == [one.event_id for one in row]
    await same(a, b, room)


async def test_a_row_beside_an_end_of_our_own(a, b, room, flushes):
    row = await row_of(a, room, ALICE)
    own = await b.say(room, BOB)
    flushes.clear()
    await b.receive("a.example", room, *row)

    assert await b.extremities(room) == {own.event_id, row[-1].event_id}
    # The first makes the branch; the others follow it.
    assert flushes == [False] * 2 + [True] * (COUNT - 2)
    await a.accept("b.example", room, own)
    await same(a, b, room)
    await b.accept("a.example", room, await a.say(room, ALICE))
    await same(a, b, room)


async def test_a_row_with_another_state_than_the_room_s(a, b, room):
    await a.send(room, ALICE, "m.room.power_levels", {"users": await levels(a, room), "state_default": 0}, "")
    for event_id in await a.extremities(room):
        await b.accept("a.example", room, (await a.events.by_id(event_id)).event)
    topic_of_b = await b.send(room, BOB, "m.room.topic", {"topic": "b"}, "")
    row = [await a.send(room, ALICE, "m.room.topic", {"topic": "a"}, ""), *await row_of(a, room, ALICE)]
    await b.receive("a.example", room, *row)
    await a.accept("b.example", room, topic_of_b)

    await same(a, b, room)
    for event in row[1:]:
        there, here = [await one.state_before(event.event_id) for one in (a, b)]
        assert {one.event_id for one in there} == {one.event_id for one in here}


async def test_a_redaction_in_a_row_finds_what_is_on_the_way(a, b, room):
    row = await row_of(a, room, ALICE, 3)
    content = {"redacts": row[1].event_id}
    redaction = await a.send(room, ALICE, "m.room.redaction", content, redacts=row[1].event_id)
    last = await a.say(room, ALICE, "after")
    await b.receive("a.example", room, *row, redaction, last)

    stored = await b.events.by_id(row[1].event_id)
    assert stored.is_redacted
    assert stored.event.content == {}
    await same(a, b, room)


async def test_a_row_that_cannot_be_stored_comes_again(a, b, room):
    row = await row_of(a, room, ALICE)
    bad = await b.state_at._interning.nid("type", "m.room.message")
    await b.database.execute(f"ALTER TABLE events ADD CONSTRAINT no CHECK (type_nid <> {bad}) NOT VALID")
    with pytest.raises(Unavailable):
        await b.receive("a.example", room, *row)
    assert await b.events.by_ids([one.event_id for one in row]) == {}

    await b.database.execute("ALTER TABLE events DROP CONSTRAINT no")
    outcomes = await b.receive("a.example", room, *row)
    assert all(isinstance(one, Accepted) for one in outcomes)
    await same(a, b, room)


async def test_a_row_of_somebody_who_is_banned_meanwhile_is_soft_failed(a, b, room):
    row = await row_of(b, room, BOB, 4)
    await a.send(room, ALICE, "m.room.member", {"membership": "ban"}, BOB)
    outcomes = await a.receive("b.example", room, *row)

    assert all(isinstance(one, SoftFailed) for one in outcomes)
    assert not {one.event_id for one in row} & await a.extremities(room)
