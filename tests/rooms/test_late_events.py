"""Events that come late or without what is before them: none is refused for it, and the graph ends once."""

import pytest

from homeserver.core.errors import Unavailable
from homeserver.core.pdu_verdicts import Accepted, Rejected
from homeserver.rooms.ingest import Postponed
from storage.tables.events import EventFlags
from tests.doubles.federated_rooms import RoomsOfServer
from tests.factory.forging import forged

ALICE, BOB, CAROL = "@alice:a.example", "@bob:b.example", "@carol:c.example"
VERSIONS = ("1", "6", "12")


@pytest.fixture(params=VERSIONS)
async def room(request, a, b):
    room_id = await a.create(ALICE, request.param, preset="public_chat")
    await b.join(BOB, room_id, a)
    return room_id


@pytest.fixture
def wide_gaps(monkeypatch):
    """Let every gap be bridged."""
    monkeypatch.setattr("homeserver.rooms.ingest.FETCHES_DEEP_MAX", 0)


async def same(a, b, room_id):
    assert await a.current(room_id) == await b.current(room_id)
    assert await a.extremities(room_id) == await b.extremities(room_id)


async def test_what_was_missing_takes_its_place_without_another_end(a, b, room, wide_gaps):
    name = await a.send(room, ALICE, "m.room.name", {"name": "new"}, "")
    lost = await a.say(room, ALICE, "lost")
    last = await a.say(room, ALICE, "told")
    await b.accept("a.example", room, last)
    await b.accept("a.example", room, lost)
    await b.accept("a.example", room, name)

    await same(a, b, room)
    assert not (await b.flags(name.event_id)) & EventFlags.OUTLIER
    missing = await b.graph.backward_extremities((await b.registry.actor(room)).room_nid)
    assert not {name.event_id, lost.event_id} & set(missing)


async def test_what_came_before_what_names_it_is_an_end_no_longer_than_that(a, b, room, wide_gaps):
    old = await a.send(room, ALICE, "m.room.topic", {"topic": "old"}, "")
    lost = await a.send(room, ALICE, "m.room.topic", {"topic": "new"}, "")
    last = await a.say(room, ALICE, "told")
    await b.accept("a.example", room, last)
    await b.accept("a.example", room, old)  # nobody can tell yet that it is behind the end
    assert await b.extremities(room) == {old.event_id, last.event_id}

    await b.accept("a.example", room, lost)
    await same(a, b, room)


async def test_state_is_read_by_the_number_that_it_had_as_an_outlier(a, b, room, wide_gaps):
    name = await a.send(room, ALICE, "m.room.name", {"name": "new"}, "")
    lost = await a.say(room, ALICE, "lost")
    last = await a.say(room, ALICE, "told")
    await b.accept("a.example", room, last)
    before = (await b.events.by_id(name.event_id)).position
    await b.accept("a.example", room, lost, name)
    moved = await b.events.by_id(name.event_id)

    assert moved.position > before
    assert (await b.current(room))["m.room.name", ""] == name.event_id
    groups = b.state_at.groups
    state = await groups.chain(moved.room_nid, (await b.events.by_id(last.event_id)).state_group)
    assert before in state.items().values()
    assert (await b.events.by_nids(moved.room_nid, [before]))[before].event.event_id == name.event_id


async def test_an_event_whose_auth_events_nobody_tells_may_come_again(a, b, room, network):
    name = await a.send(room, ALICE, "m.room.member", {"membership": "join", "displayname": "A"}, ALICE)
    said = await a.say(room, ALICE)
    network.cut = {("b.example", "a.example")}
    first = await b.receive("a.example", room, said)
    assert isinstance(first[0], Postponed)
    assert await b.flags(said.event_id) is None

    network.cut = set()
    await b.accept("a.example", room, said)
    assert (await b.current(room))["m.room.member", ALICE] == name.event_id
    await same(a, b, room)


async def test_a_gap_is_not_bridged_by_half_a_state(a, b, room, wide_gaps, monkeypatch):
    name = await a.send(room, ALICE, "m.room.name", {"name": "new"}, "")
    await a.say(room, ALICE, "lost")
    last = await a.say(room, ALICE, "told")
    by_id = a.events.by_id

    async def without_name(event_id):
        if event_id == name.event_id:
            raise Unavailable("Busy.")
        return await by_id(event_id)

    with monkeypatch.context() as broken:
        broken.setattr(a.events, "by_id", without_name)
        (outcome,) = await b.receive("a.example", room, last)
        assert isinstance(outcome, Postponed)
    await b.accept("a.example", room, last)
    assert await a.current(room) == await b.current(room)


async def test_what_a_rejected_event_names_is_an_end_when_it_comes(a, b, room):
    topic = await b.send(room, BOB, "m.room.message", {"body": "not told yet"})
    rejected = forged(topic, sender="@eve:b.example", prev_events=[topic])
    b.network.servers.pop("b.example")  # it tells nothing of what is missing
    await a.receive("b.example", room, rejected)
    b.network.servers["b.example"] = b
    (outcome,) = await a.receive("b.example", room, rejected)
    assert isinstance(outcome, Rejected)
    await a.accept("b.example", room, topic)

    assert topic.event_id in await a.extremities(room)


async def test_what_a_rejected_event_names_is_an_end_even_if_its_state_was_told(a, b, room, wide_gaps):
    topic = await b.send(room, BOB, "m.room.message", {"body": "not told yet"})
    rejected = forged(topic, sender="@eve:b.example", prev_events=[topic])
    (outcome,) = await a.receive("b.example", room, rejected)
    assert isinstance(outcome, Rejected)
    await a.accept("b.example", room, topic)

    assert topic.event_id in await a.extremities(room)


async def test_who_comes_in_again_believes_what_happened_meanwhile(a, b, room):
    # The create event is here already. Room versions that do not name it as an auth event need it too.
    await b.send(room, BOB, "m.room.member", {"membership": "leave"}, BOB)
    left = await b.extremities(room)
    await a.accept("b.example", room, *[(await b.events.by_id(one)).event for one in left])
    name = await a.send(room, ALICE, "m.room.name", {"name": "meanwhile"}, "")
    await b.join(BOB, room, a)

    await same(a, b, room)
    assert (await b.current(room))["m.room.name", ""] == name.event_id
    assert await b.flags(name.event_id) == EventFlags.OUTLIER


async def test_a_server_is_joined_by_way_of_one_that_has_the_create_event_last(a, b, room, make_database):
    """Placed late, it comes at the end of the state that the resident server tells."""
    (create,) = [one for one in await a.state_for(room) if one.type == "m.room.create"]
    await b.receive("a.example", room, create)
    c = await RoomsOfServer("c.example", await make_database(), a.network).start()
    try:
        entry = await c.join(CAROL, room, b)
        assert await c.current(room) == await b.current(room)
        assert isinstance((await a.receive("b.example", room, entry))[0], Accepted)
    finally:
        await c.stop()


async def test_state_that_is_believed_already_is_no_end_when_it_comes(a, b, room, make_database):
    """It would bring back the state of its time, by which whoever came in later would not be in the room."""
    await a.send(room, ALICE, "m.room.join_rules", {"join_rule": "invite"}, "")
    await a.send(room, ALICE, "m.room.member", {"membership": "invite"}, CAROL)
    c = await RoomsOfServer("c.example", await make_database(), a.network).start()
    try:
        await c.join(CAROL, room, a)
        state = await c.current(room)
        bob = (await a.events.by_id(state["m.room.member", BOB])).event
        before = [(await a.events.by_id(one)).event for one in bob.prev_events]
        await c.accept("a.example", room, *before, bob)

        assert await c.current(room) == await a.current(room) == state
        assert await c.extremities(room) == await a.extremities(room)
        assert not (await c.flags(bob.event_id)) & EventFlags.SOFT_FAILED
    finally:
        await c.stop()
