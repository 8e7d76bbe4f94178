"""What clients see of rooms whose graph has branches, since two servers speak at the same time."""

import pytest

from homeserver.core.pdu_verdicts import Accepted, SoftFailed
from tests.doubles.federated_rooms import Network, RoomsOfServer, RoomsOfWholeServer

BOB = "@bob:b.example"
CAROL = "@carol:c.example"


@pytest.fixture
def network():
    return Network()


@pytest.fixture
async def own(rooms_server, network):
    return await RoomsOfWholeServer(rooms_server, network).start()


@pytest.fixture
async def other(make_database, network):
    server = await RoomsOfServer("b.example", await make_database(), network).start()
    yield server
    await server.stop()


@pytest.fixture
async def room(alice, own, other):
    levels = {"state_default": 0, "events": {"m.room.history_visibility": 0}}
    room_id = await alice.create(preset="public_chat", power_level_content_override=levels, room_version="11")
    await other.join(BOB, room_id, own)
    return room_id


async def sent_by_alice(own, alice, room, event_type, content, state_key=""):
    event_id = await alice.set_state(room, event_type, content, state_key)
    return (await own.events.by_id(event_id)).event


async def synced(alice, since=None, *, after=False):
    query = "" if since is None else f"?since={since}"
    if after:
        query += ("&" if query else "?") + "use_state_after=true"
    return await alice.get(f"/sync{query}")


def state_of(answer, room, state=None, *, after=False):
    """Work the state out as a client does."""
    state = dict(state or {})
    joined = answer["rooms"].get("join", {}).get(room, {}) if "rooms" in answer else {}
    told = joined.get("state_after" if after else "state", {}).get("events", [])
    timeline = [] if after else joined.get("timeline", {}).get("events", [])
    for event in [*told, *timeline]:
        if "state_key" in event:
            state[event["type"], event["state_key"]] = event["event_id"]
    return state


@pytest.mark.parametrize("after", [False, True])
async def test_a_client_ends_with_the_resolved_state_whoever_wins(alice, own, other, room, after):
    first = await synced(alice, after=after)
    state, since = state_of(first, room, after=after), first["next_batch"]
    # Each of two topics is sent without knowing of the other; then the same again in the other order.
    for texts in (("a", "b"), ("c", "d")):
        theirs = await other.send(room, BOB, "m.room.topic", {"topic": texts[0]}, "")
        mine = await sent_by_alice(own, alice, room, "m.room.topic", {"topic": texts[1]})
        await own.accept("b.example", room, theirs)
        await other.accept("localhost", room, mine)
        answer = await synced(alice, since, after=after)
        state, since = state_of(answer, room, state, after=after), answer["next_batch"]

        assert state == await own.current(room)
        fresh = await synced(alice, after=after)
        assert state_of(fresh, room, after=after) == await own.current(room)


@pytest.mark.parametrize("after", [False, True])
async def test_what_resolution_brings_back_reaches_who_was_told_otherwise(
    alice, own, other, network, make_database, room, after
):
    """A topic is told, and then falls with the power of who set it, on a branch that comes later."""
    third = await RoomsOfServer("c.example", await make_database(), network).start()
    entry = await third.join(CAROL, room, own)
    before = await sent_by_alice(own, alice, room, "m.room.topic", {"topic": "before"})
    levels = {"users": {alice.user_id: 100, CAROL: 100, BOB: 50}}
    power = await sent_by_alice(own, alice, room, "m.room.power_levels", levels)
    await other.accept("localhost", room, entry, before, power)
    await third.accept("localhost", room, before, power)
    theirs = await other.send(room, BOB, "m.room.topic", {"topic": "theirs"}, "")
    levels = {"users": {alice.user_id: 100, CAROL: 100, BOB: 0}, "state_default": 50}
    demotion = await third.send(room, CAROL, "m.room.power_levels", levels, "")
    first = await synced(alice, after=after)
    state, since = state_of(first, room, after=after), first["next_batch"]

    for event, topic in ((theirs, theirs), (demotion, before)):
        await own.accept("b.example", room, event)
        answer = await synced(alice, since, after=after)
        state, since = state_of(answer, room, state, after=after), answer["next_batch"]
        assert state["m.room.topic", ""] == topic.event_id
        assert state == await own.current(room)
    await third.stop()


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_comes_back_by_an_event_that_is_not_shown_is_told(
    rooms_server, alice, own, other, network, make_database, room, restarts, monkeypatch
):
    monkeypatch.setattr("homeserver.rooms.ingest.FETCHES_DEEP_MAX", 0)
    third = await RoomsOfServer("c.example", await make_database(), network).start()
    entry = await third.join(CAROL, room, own)
    levels = {"users": {alice.user_id: 100, CAROL: 100, BOB: 50}}
    before = await sent_by_alice(own, alice, room, "m.room.topic", {"topic": "before"})
    power = await sent_by_alice(own, alice, room, "m.room.power_levels", levels)
    await other.accept("localhost", room, entry, before, power)
    await third.accept("localhost", room, before, power)
    theirs = await other.send(room, BOB, "m.room.topic", {"topic": "theirs"}, "")
    levels = {"users": {alice.user_id: 100, CAROL: 100, BOB: 0}, "state_default": 50}
    await third.send(room, CAROL, "m.room.power_levels", levels, "")
    unseen = await third.send(room, CAROL, "org.isthmus.merge", {})
    await own.accept("b.example", room, theirs)
    first = await synced(alice)
    state, since = state_of(first, room), first["next_batch"]

    await own.accept("c.example", room, unseen)
    if restarts:
        await rooms_server.restart()
    answer = await synced(alice, since)
    state = state_of(answer, room, state)
    assert state["m.room.topic", ""] == before.event_id
    assert state == {(one["type"], one["state_key"]): one["event_id"] for one in await all_state(alice, room)}
    timeline = answer["rooms"]["join"][room]["timeline"]["events"]
    assert unseen.event_id not in [event["event_id"] for event in timeline]
    await third.stop()


async def all_state(user, room):
    return list((await user.all_state(room)).values())


async def test_what_is_refused_by_now_is_not_shown(alice, own, other, room):
    first = await synced(alice)
    state, since = state_of(first, room), first["next_batch"]
    before = await sent_by_alice(own, alice, room, "m.room.topic", {"topic": "before"})
    await other.accept("localhost", room, before)
    theirs = await other.send(room, BOB, "m.room.topic", {"topic": "theirs"}, "")
    kick = await sent_by_alice(own, alice, room, "m.room.member", {"membership": "ban"}, BOB)
    joining = await alice.send(room)
    (outcome,) = await own.receive("b.example", room, theirs)
    assert isinstance(outcome, SoftFailed)

    answer = await synced(alice, since)
    state = state_of(answer, room, state)
    assert state == await own.current(room)
    assert state["m.room.topic", ""] == before.event_id
    assert state["m.room.member", BOB] == kick.event_id
    assert joining in [event["event_id"] for event in answer["rooms"]["join"][room]["timeline"]["events"]]


async def test_what_was_said_where_the_reader_was_not_yet_is_not_shown_where_only_members_see(
    alice, bob, own, other, room
):
    joined_only = {"history_visibility": "joined"}
    event = await sent_by_alice(own, alice, room, "m.room.history_visibility", joined_only)
    await other.accept("localhost", room, event)
    said = await other.say(room, BOB, "before you came")
    since = (await synced(bob))["next_batch"]
    await bob.act(room, "join")
    (outcome,) = await own.receive("b.example", room, said)
    assert isinstance(outcome, Accepted)

    answer = await synced(bob, since)
    told = [event["event_id"] for event in answer["rooms"]["join"][room]["timeline"]["events"]]
    assert said.event_id not in told
    assert "before you came" not in await bob.texts(room)
    assert "before you came" in await alice.texts(room)


async def test_a_membership_that_resolution_takes_back_ends_the_room_for_its_user(
    alice, bob, own, other, room
):
    """A ban on one branch wins over a join on another, though the join was taken in first."""
    await other.accept("localhost", room, await sent_by_alice(
        own, alice, room, "m.room.power_levels", {"users": {alice.user_id: 100, BOB: 100}}
    ))  # fmt: skip
    ban = await other.send(room, BOB, "m.room.member", {"membership": "ban"}, bob.user_id)
    await bob.act(room, "join")
    since = (await synced(bob))["next_batch"]
    await own.accept("b.example", room, ban)

    assert (await own.current(room))["m.room.member", bob.user_id] == ban.event_id
    answer = await synced(bob, since)
    assert room in answer["rooms"]["leave"]
    assert (await bob.get("/joined_rooms"))["joined_rooms"] == []
    assert await bob.try_send(room) == (403, "M_FORBIDDEN")
