"""What rooms of two servers keep from whom, and what is found of them later."""

import asyncio
import time

import pytest

from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.pairs import CHOSEN, PAIRS, meet
from tests.scenarios.federation.people import same_state
from tests.scenarios.federation.servers import Isthmus

pytestmark = [pytest.mark.scenario, pytest.mark.interop, pytest.mark.timeout(120)]


@pytest.fixture(scope="module", params=CHOSEN)
def servers(request):
    with running(*PAIRS[request.param]) as both:
        yield both


@pytest.fixture
async def alice(servers, come):
    return await come(servers[0], "alice")


@pytest.fixture
async def bob(servers, come):
    return await come(servers[1], "bob")


async def bodies(person, room_id):
    """What a person finds in the history, the newest first."""
    events = await person.history(room_id)
    return [event["content"].get("body") for event in events if event["type"] == "m.room.message"]


@pytest.mark.parametrize(
    ("visibility", "seen"),
    [
        ("joined", []),
        ("invited", ["after the invitation"]),
        ("shared", ["after the invitation", "before the invitation"]),
        ("world_readable", ["after the invitation", "before the invitation"]),
    ],
)
async def test_who_joins_reads_of_the_past_what_the_room_lets_them(alice, bob, visibility, seen):
    content = {"history_visibility": visibility}
    rule = {"type": "m.room.history_visibility", "state_key": "", "content": content}
    room_id = await alice.make_room(initial_state=[rule])
    await alice.say(room_id, "before the invitation")
    await alice.act(room_id, "invite", bob.user_id)
    await bob.is_in(room_id, "invite")
    await alice.say(room_id, "after the invitation")
    await bob.join_by(room_id, alice.server.name)
    await alice.sees_member(room_id, bob.user_id, "join")
    await alice.say(room_id, "now")
    await bob.sees(room_id, "now")

    assert await bodies(bob, room_id) == ["now", *seen]


async def test_who_comes_back_reads_what_was_said_in_between(alice, bob, request):
    if isinstance(bob.server, Isthmus):
        reason = "What happened while nobody of ours was in a room is not fetched yet."
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    room_id = await meet(alice, bob, preset="public_chat")
    await alice.say(room_id, "first")
    await bob.sees(room_id, "first")
    await bob.act(room_id, "leave")
    await alice.sees_member(room_id, bob.user_id, "leave")
    between = [f"between {number}" for number in range(40)]
    for body in between:
        await alice.say(room_id, body)
    await bob.join_by(room_id, alice.server.name)
    await alice.sees_member(room_id, bob.user_id, "join")
    await alice.say(room_id, "last")
    await bob.sees(room_id, "last")

    assert await bodies(bob, room_id) == ["last", *reversed(between), "first"]


async def test_a_server_that_the_room_denies_is_not_heard(alice, bob):
    room_id = await meet(alice, bob)
    await alice.set_state(room_id, "m.room.server_acl", {
        "allow": ["*"], "deny": ["localhost"], "allow_ip_literals": True,
    })  # fmt: skip
    await bob.until("the rule", lambda: ("m.room.server_acl", "") in bob.room(room_id).state)
    await bob.say(room_id, "Can you hear me?")
    other = await meet(alice, bob)
    await bob.say(other, "And here?")
    await alice.sees(other, "And here?")
    await asyncio.sleep(1)
    await alice.take_in()

    assert "Can you hear me?" not in alice.room(room_id).bodies()


async def test_a_room_that_is_upgraded_takes_both_along(alice, bob):
    room_id = await meet(alice, bob, room_version="9", preset="public_chat", name="Old")
    told = await alice.client("POST", "rooms", room_id, "upgrade", body={"new_version": "11"})
    await bob.until("the tombstone", lambda: ("m.room.tombstone", "") in bob.room(room_id).state)
    tombstone = bob.room(room_id).state["m.room.tombstone", ""]
    assert tombstone["content"]["replacement_room"] == told["replacement_room"]
    await bob.join_by(told["replacement_room"], alice.server.name)
    await alice.sees_member(told["replacement_room"], bob.user_id, "join")
    state = await same_state(told["replacement_room"], alice, bob)

    assert ("m.room.name", "") in state


async def test_a_moment_of_the_past_is_found_on_the_other_server(alice, bob):
    room_id = await alice.make_room(preset="public_chat")
    await alice.say(room_id, "long ago")
    await asyncio.sleep(0.05)
    moment = int(time.time() * 1000)
    await asyncio.sleep(0.05)
    wanted = await alice.say(room_id, "after that moment")
    for number in range(40):
        await alice.say(room_id, f"later {number}")
    await bob.join_by(room_id, alice.server.name)
    await bob.is_in(room_id, "join")
    path = f"/_matrix/client/v1/rooms/{room_id.replace('!', '%21')}/timestamp_to_event?ts={moment}&dir=f"
    found = await bob.call("GET", path)

    assert found["event_id"] == wanted


async def test_edits_reactions_and_threads_cross(alice, bob):
    room_id = await meet(alice, bob)
    root = await alice.say(room_id, "root")
    await bob.sees(room_id, "root")
    relation = {"rel_type": "m.thread", "event_id": root}
    await bob.client("PUT", "rooms", room_id, "send", "m.room.message", "t1", body={
        "msgtype": "m.text", "body": "in the thread", "m.relates_to": relation,
    })  # fmt: skip
    await alice.sees(room_id, "in the thread")
    await bob.client("PUT", "rooms", room_id, "send", "m.reaction", "t2", body={
        "m.relates_to": {"rel_type": "m.annotation", "event_id": root, "key": "👍"},
    })  # fmt: skip
    await alice.until("the reaction", lambda: any(
        event["type"] == "m.reaction" for event in alice.room(room_id).timeline
    ))  # fmt: skip
    path = f"/_matrix/client/v1/rooms/{room_id.replace('!', '%21')}/relations/{root.replace('$', '%24')}"
    for person in (alice, bob):
        found = await person.call("GET", path)
        assert {event["type"] for event in found["chunk"]} == {"m.room.message", "m.reaction"}


async def test_another_user_of_the_server_joins_without_asking_elsewhere(alice, bob, come, servers):
    room_id = await meet(alice, bob)
    carol = await come(servers[1], "carol")
    await bob.act(room_id, "invite", carol.user_id)
    await carol.is_in(room_id, "invite")
    await carol.join_by(room_id)
    await alice.sees_member(room_id, carol.user_id, "join")
    await carol.say(room_id, "Hello from Carol")
    await alice.sees(room_id, "Hello from Carol")
