"""What servers send that mean no good: it is refused with a reason, and the room goes on."""

import asyncio
from hashlib import sha256

import pytest

from homeserver.core.pdu_verdicts import Accepted, Dropped, Rejected
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.rooms.ingest import Postponed
from tests.factory.forging import forged, signed

ALICE, BOB = "@alice:a.example", "@bob:b.example"
SECONDS_MAX = 10


@pytest.fixture(params=("1", "6", "12"))
async def room(request, a, b):
    room_id = await a.create(ALICE, request.param, preset="public_chat")
    await b.join(BOB, room_id, a)
    return room_id


async def template(b, room_id):
    """Make an event of Bob's that has not been told to anybody, to forge others from."""
    return await b.say(room_id, BOB, "template")


async def receive(a, room_id, *pdus):
    """Let a server take in PDUs of another; returns the outcomes by event ID."""
    async with asyncio.timeout(SECONDS_MAX):
        return await a.ingest.receive("b.example", room_id, list(pdus))


async def goes_on(a, b, room_id):
    """Check that both servers still hear each other."""
    said = await a.say(room_id, ALICE, "still here")
    await b.accept("a.example", room_id, said)
    answer = await b.say(room_id, BOB, "so am I")
    await a.accept("b.example", room_id, answer)
    assert await a.current(room_id) == await b.current(room_id)


def references(event, *ids):
    return [[one, {"sha256": "x"}] if event.rules.event_references_are_pairs else one for one in ids]


@pytest.mark.parametrize("key", ["prev_events", "auth_events"])
async def test_events_that_name_each_other_end_nothing(a, b, network, key):
    room_id = await a.create(ALICE, "1", preset="public_chat")
    await b.join(BOB, room_id, a)
    event = await template(b, room_id)
    first, second = "$first:b.example", "$second:b.example"
    rules = ROOM_VERSIONS["1"]
    named = [*event.pdu["auth_events"]] if key == "auth_events" else []
    pdus = [
        signed({**event.pdu, "event_id": own, key: [*named, *references(event, other)]}, rules)[1]
        for own, other in ((first, second), (second, first))
    ]
    outcomes = await receive(a, room_id, *pdus)

    assert outcomes.keys() == {first, second}
    assert not any(isinstance(one, Accepted) for one in outcomes.values())
    await goes_on(a, b, room_id)


async def test_an_event_that_names_itself_is_not_taken_in(a, b):
    room_id = await a.create(ALICE, "1", preset="public_chat")
    await b.join(BOB, room_id, a)
    event = await template(b, room_id)
    itself = "$itself:b.example"
    pdu = {**event.pdu, "event_id": itself, "prev_events": references(event, itself)}
    outcomes = await receive(a, room_id, signed(pdu, event.rules)[1])

    assert isinstance(outcomes[itself], Postponed)
    await goes_on(a, b, room_id)


async def test_an_event_whose_chosen_id_is_taken_is_not_taken_in_again(a, b):
    room_id = await a.create(ALICE, "1", preset="public_chat")
    await b.join(BOB, room_id, a)
    event = await template(b, room_id)
    await a.accept("b.example", room_id, event)
    event_id, pdu = signed({**event.pdu, "content": {"body": "other words"}}, event.rules)
    assert await receive(a, room_id, pdu) == {event_id: None}

    assert (await a.events.by_id(event_id)).event.content == event.content


async def test_an_event_that_chose_an_id_of_another_server_is_dropped(a, b):
    room_id = await a.create(ALICE, "1", preset="public_chat")
    await b.join(BOB, room_id, a)
    event = await template(b, room_id)
    event_id, pdu = signed({**event.pdu, "event_id": "$chosen:a.example"}, event.rules)

    assert isinstance((await receive(a, room_id, pdu))[event_id], Dropped)


async def test_twenty_predecessors_are_many_and_more_are_too_many(a, b, room):
    said = [await a.say(room, ALICE, str(number)) for number in range(21)]
    await b.accept("a.example", room, *said)
    event = await template(b, room)
    many = forged(event, prev_events=said[:20])
    too_many = forged(event, prev_events=said)
    assert isinstance((await a.receive("b.example", room, too_many))[0], Dropped)
    await a.accept("b.example", room, many)

    await b.accept("b.example", room, many)
    await goes_on(a, b, room)


async def test_an_event_without_predecessors_is_rejected(a, b, room):
    event = forged(await template(b, room), prev_events=[])
    (outcome,) = await a.receive("b.example", room, event)

    assert isinstance(outcome, Rejected)
    assert event.event_id not in await a.extremities(room)
    await goes_on(a, b, room)


async def test_state_without_predecessors_replaces_nothing(a, b, room):
    like = await template(b, room)
    event = forged(like, type="m.room.topic", content={"topic": "mine"}, state_key="", prev_events=[])
    before = await a.current(room)
    (outcome,) = await a.receive("b.example", room, event)

    assert isinstance(outcome, Rejected)
    assert await a.current(room) == before


async def test_an_event_of_another_room_is_dropped(a, b, room):
    other = await a.create(ALICE, "11", preset="public_chat")
    event = forged(await template(b, room), room_id=other)

    assert isinstance((await a.receive("b.example", room, event))[0], Dropped)


async def test_an_event_that_follows_one_of_another_room_believes_nothing_of_that(a, b, room):
    other = await a.create(ALICE, "6" if ":" in room else "12", preset="public_chat", topic="another room")
    elsewhere = await a.say(other, ALICE)
    event = await template(b, room)
    pdu = {**event.pdu, "prev_events": references(event, elsewhere.event_id)}
    before = await a.current(room)
    event_id, pdu = signed(pdu, event.rules)
    outcomes = await receive(a, room, pdu)

    assert not isinstance(outcomes[event_id], Accepted)
    assert await a.current(room) == before
    await goes_on(a, b, room)


@pytest.mark.parametrize("depth", [0, 2**53 - 1])
async def test_a_depth_may_be_anything_that_is_one(a, b, room, depth):
    event = forged(await template(b, room), depth=depth)
    await a.accept("b.example", room, event)

    said = await a.say(room, ALICE)
    assert said.prev_events == (event.event_id,)
    assert said.depth == min(depth + 1, 2**53 - 1)


@pytest.mark.parametrize("depth", [2**63, -1, 1.5, "1", None, True])
async def test_a_depth_that_is_none_is_dropped(a, b, room, depth):
    event = await template(b, room)
    pdu = {**event.pdu, "depth": depth}
    outcomes = await receive(a, room, pdu)

    assert all(isinstance(one, Dropped) for one in outcomes.values())
    await goes_on(a, b, room)


async def test_a_lenient_room_takes_the_greatest_depth_of_all(a, b):
    room_id = await a.create(ALICE, "1", preset="public_chat")
    await b.join(BOB, room_id, a)
    event = await template(b, room_id)
    event_id, pdu = signed({**event.pdu, "event_id": "$deep:b.example", "depth": 2**63 - 1}, event.rules)
    assert isinstance((await receive(a, room_id, pdu))[event_id], Accepted)

    said = await a.say(room_id, ALICE)
    assert set(said.prev_events) == {event_id}
    assert said.depth == 2**53 - 1


@pytest.mark.parametrize(
    "key", ["type", "state_key", "redacts", "prev_events", "auth_events", "event_id", "relates_to"]
)
async def test_what_storage_cannot_hold_does_no_harm(a, b, room, key):
    event = await template(b, room)
    pdu = dict(event.pdu)
    if key in {"prev_events", "auth_events"}:
        pdu[key] = [*pdu[key], *references(event, "$\0:b.example")]
    elif key == "redacts":
        pdu |= {"type": "m.room.redaction", "redacts": "$\0", "content": {"redacts": "$\0"}}
    elif key == "relates_to":
        relation = {"rel_type": "\0", "event_id": "$\0", "m.in_reply_to": {"event_id": "$\0"}}
        pdu["content"] = {"m.relates_to": relation, "membership": "\0", "body": "\0"}
    else:
        pdu[key] = "$nul\0:b.example"
    event_id, pdu = signed(pdu, event.rules)
    outcomes = await receive(a, room, pdu)

    if key in {"type", "state_key", "prev_events", "auth_events"}:
        assert isinstance(outcomes[event_id], Dropped)
    await goes_on(a, b, room)


@pytest.mark.parametrize("key", ["prev_events", "auth_events", "redacts", "relates_to"])
async def test_endless_event_ids_are_no_burden(a, b, room, key):
    event = await template(b, room)
    endless = "$" + "".join([sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(300)])
    pdu = dict(event.pdu)
    if key == "redacts":
        pdu |= {"type": "m.room.redaction", "redacts": endless, "content": {"redacts": endless}}
    elif key == "relates_to":
        relation = {"rel_type": endless, "event_id": endless, "key": endless}
        pdu["content"] = {"m.relates_to": {**relation, "m.in_reply_to": {"event_id": endless}}}
    else:
        pdu[key] = references(event, endless)
    await receive(a, room, signed(pdu, event.rules)[1])

    await goes_on(a, b, room)


@pytest.mark.parametrize("pdu", [None, 1, "text", [], {}, {"type": "m.room.message"}])
async def test_what_is_no_event_is_left_out(a, b, room, pdu):
    outcomes = await receive(a, room, pdu)

    assert all(isinstance(one, Dropped) for one in outcomes.values())
    await goes_on(a, b, room)


async def test_auth_events_that_did_not_allow_it_reject_an_event(a, b, room):
    event = await template(b, room)
    auth_events = [(await b.events.by_id(one)).event for one in event.auth_events]
    useless = next(one for one in await b.state_for(room) if one.type == "m.room.guest_access")
    bad = forged(event, auth_events=[*auth_events, useless])
    (outcome,) = await a.receive("b.example", room, bad)

    assert isinstance(outcome, Rejected)
    await goes_on(a, b, room)


async def test_no_more_ends_are_kept_than_one_event_can_join(a, b, room, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.merging.BRANCHES_MAX", 1_000)
    event = await template(b, room)
    start = [(await b.events.by_id(one)).event for one in event.prev_events]
    branches = [forged(event, prev_events=start, content={"body": str(number)}) for number in range(25)]
    await a.accept("b.example", room, *branches)
    assert len(await a.extremities(room)) == 20

    said = await a.say(room, ALICE)
    assert len(said.prev_events) == 20


async def test_many_branches_are_joined_when_nobody_says_anything(a, b, room):
    event = await template(b, room)
    start = [(await b.events.by_id(one)).event for one in event.prev_events]
    branches = [forged(event, prev_events=start, content={"body": str(number)}) for number in range(15)]
    await a.accept("b.example", room, *branches)

    (end,) = await a.extremities(room)
    joining = (await a.events.by_id(end)).event
    assert len(joining.prev_events) > 10
    assert end not in await a.timeline(room)
    await b.receive("a.example", room, joining)
    await goes_on(a, b, room)


@pytest.mark.parametrize("state", [{"type": "x\0"}, {"type": "x", "state_key": "\0"}])
async def test_no_user_makes_a_room_with_state_that_storage_cannot_hold(alice, state):
    wishes = {"initial_state": [{"content": {}, **state}]}

    assert await alice.try_("POST", "/createRoom", wishes) == (400, "M_INVALID_PARAM")
