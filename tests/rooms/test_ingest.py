"""What other servers send: checked, placed, and resolved, as two servers see it."""

import asyncio

import pytest

from homeserver.core.errors import Unavailable
from homeserver.core.event.builder import build_event
from homeserver.core.identifiers import server_name_of
from homeserver.core.pdu_verdicts import Accepted, Dropped, Rejected, SoftFailed
from homeserver.rooms.commands import Draft
from storage.tables.events import EventFlags
from tests.factory.room_timeline import signing_key_of

ALICE, BOB, CAROL = "@alice:a.example", "@bob:b.example", "@carol:a.example"
VERSIONS = ("1", "10", "12")


@pytest.fixture(params=VERSIONS)
async def room(request, a, b):
    """Make a room of Alice's on one server that Bob of the other one is in."""
    room_id = await a.create(ALICE, request.param, preset="public_chat")
    await b.join(BOB, room_id, a)
    return room_id


async def same(a, b, room_id):
    assert await a.current(room_id) == await b.current(room_id)
    assert await a.extremities(room_id) == await b.extremities(room_id)


async def test_a_room_is_adopted_with_its_state(a, b, room):
    await same(a, b, room)


async def test_what_follows_the_end_of_the_graph_is_taken_in(a, b, room):
    said = await a.say(room, ALICE)
    await b.accept("a.example", room, said)
    topic = await b.send(room, BOB, "m.room.message", {"body": "hi"})
    await a.accept("b.example", room, topic)

    await same(a, b, room)
    assert (await b.timeline(room))[-2:] == [said.event_id, topic.event_id]


async def test_what_came_already_is_not_taken_in_again(a, b, room):
    said = await a.say(room, ALICE)

    await b.accept("a.example", room, said)
    assert await b.receive("a.example", room, said) == [None]


async def test_two_branches_are_both_ends_until_an_event_joins_them(a, b, room):
    from_a = await a.say(room, ALICE)
    from_b = await b.say(room, BOB)
    await b.accept("a.example", room, from_a)
    await a.accept("b.example", room, from_b)
    assert await a.extremities(room) == await b.extremities(room) == {from_a.event_id, from_b.event_id}

    joining = await a.say(room, ALICE)
    await b.accept("a.example", room, joining)
    assert set(joining.prev_events) == {from_a.event_id, from_b.event_id}
    await same(a, b, room)


async def test_state_of_two_branches_is_resolved_alike(a, b, room):
    await a.send(room, ALICE, "m.room.power_levels", {"users": await levels(a, room), "state_default": 0}, "")
    await carry(a, b, room)
    from_a = await a.send(room, ALICE, "m.room.topic", {"topic": "a"}, "")
    from_b = await b.send(room, BOB, "m.room.topic", {"topic": "b"}, "")
    await b.accept("a.example", room, from_a)
    await a.accept("b.example", room, from_b)

    await same(a, b, room)
    joining = await b.say(room, BOB)
    await a.accept("b.example", room, joining)
    await same(a, b, room)


async def test_missing_predecessors_are_asked_for(a, b, room):
    said = [await a.say(room, ALICE, str(number)) for number in range(7)]
    await b.accept("a.example", room, said[-1])

    await same(a, b, room)
    assert (await b.timeline(room))[-7:] == [one.event_id for one in said]


async def test_a_wide_gap_is_bridged_by_the_state_after_it(a, b, room, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.ingest.FETCHES_DEEP_MAX", 0)
    await a.send(room, ALICE, "m.room.name", {"name": "new"}, "")
    await a.say(room, ALICE, "lost")
    last = await a.say(room, ALICE, "told")
    await b.accept("a.example", room, last)

    assert await a.current(room) == await b.current(room)
    lost = last.prev_events[0]
    assert (await b.flags(lost)) == EventFlags.OUTLIER
    nid = (await b.registry.actor(room)).room_nid
    assert (await b.graph.backward_extremities(nid))[0] == lost


async def test_an_event_of_somebody_who_is_not_in_the_room_is_rejected(a, b, room):
    outsider = forged(await a.say(room, ALICE), sender="@eve:a.example")
    (outcome,) = await b.receive("a.example", room, outsider)

    assert isinstance(outcome, Rejected)
    assert EventFlags.REJECTED in await b.flags(outsider.event_id)
    assert outsider.event_id not in await b.timeline(room)
    assert outsider.event_id not in await b.extremities(room)


async def test_an_event_with_a_wrong_signature_is_dropped(a, b, room):
    event = forged(await a.say(room, ALICE), signer="b.example")
    (outcome,) = await b.receive("a.example", room, event)

    assert isinstance(outcome, Dropped)
    assert await b.flags(event.event_id) is None


async def test_who_was_banned_cannot_go_on_from_before_the_ban(a, b, room):
    ban = await a.send(room, ALICE, "m.room.member", {"membership": "ban"}, BOB)
    evading = await b.say(room, BOB, "I am still here")
    (outcome,) = await a.receive("b.example", room, evading)

    assert isinstance(outcome, SoftFailed)
    assert evading.event_id not in await a.timeline(room)
    assert await a.extremities(room) == {ban.event_id}


async def test_what_follows_a_soft_failed_event_is_taken_in_if_others_may_send_it(a, b, room):
    await b.join("@dora:b.example", room, a)
    ban = await a.send(room, ALICE, "m.room.member", {"membership": "ban"}, BOB)
    evading = await b.say(room, BOB, "I am still here")
    await b.accept("a.example", room, ban)
    joining = await b.say(room, "@dora:b.example")
    await a.receive("b.example", room, evading)
    await a.accept("b.example", room, joining)

    await same(a, b, room)
    assert (await a.current(room))["m.room.member", BOB] == ban.event_id


async def test_an_event_takes_the_place_of_ends_that_it_follows_by_way_of_a_refused_one(a, b, room):
    end = await a.say(room, ALICE)
    await b.accept("a.example", room, end)
    refused = forged(await b.say(room, BOB, "never sent"), sender="@eve:b.example", prev_events=[end])
    follows = forged(refused, sender=BOB, prev_events=[refused])
    first, second = await a.receive("b.example", room, refused, follows)

    assert isinstance(first, Rejected)
    assert isinstance(second, Accepted)
    assert await a.extremities(room) == {follows.event_id}


async def test_an_event_comes_while_one_of_ours_fails_to_be_stored(a, b, room, monkeypatch):
    await a.send(room, ALICE, "m.room.power_levels", {"users": await levels(a, room), "state_default": 0}, "")
    await carry(a, b, room)
    from_b = await b.send(room, BOB, "m.room.topic", {"topic": "b"}, "")
    names = await a.state_at._interning.nid("type", "m.room.name")
    await a.database.execute(f"ALTER TABLE events ADD CONSTRAINT no CHECK (type_nid <> {names}) NOT VALID")
    is_checked, settled = asyncio.Event(), a.registry.settled

    async def told(actor):
        is_checked.set()
        await settled(actor)

    monkeypatch.setattr(a.registry, "settled", told)
    async with a.database.transaction() as connection:
        await connection.execute("LOCK TABLE events IN EXCLUSIVE MODE")
        sent = await a.registry.submit(room, Draft("m.room.name", ALICE, {"name": "never"}, ""))
        arriving = asyncio.ensure_future(a.accept("b.example", room, from_b))
        await is_checked.wait()
    await arriving

    with pytest.raises(Unavailable):
        await sent.durable()
    assert ("m.room.name", "") not in await a.current(room)
    await same(a, b, room)


async def levels(server, room_id):
    room = await server.registry.actor(room_id)
    return dict(room.state.get(("m.room.power_levels", "")).content.get("users", {}))


async def carry(origin, to, room_id):
    """Give one server what the other one has at its end."""
    for event_id in await origin.extremities(room_id):
        await to.accept(origin.name, room_id, (await origin.events.by_id(event_id)).event)


def forged(event, *, sender=None, signer=None, prev_events=None):
    """Make an event like another one, by somebody else or elsewhere in the graph."""
    sender = sender or event.sender
    name = signer or server_name_of(sender)
    return build_event(
        rules=event.rules, type=event.type, sender=sender, content=dict(event.content),
        state_key=event.state_key, room_id=event.room_id, prev_events=prev_events or list(event.prev_events),
        auth_events=list(event.auth_events), depth=event.depth, origin_server_ts=event.origin_server_ts + 1,
        server_name=server_name_of(sender), signing_key=signing_key_of(name),
    )  # fmt: skip
