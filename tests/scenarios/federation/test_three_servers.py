"""Three servers share a room: one is dead for thousands of messages, or cut off while all go on."""

import asyncio
import time

import pytest

from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.network import Network
from tests.scenarios.federation.people import same_state
from tests.scenarios.federation.servers import Isthmus

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(300)]

KINDS = (Isthmus, Isthmus, Isthmus)
MESSAGES = 1_000
"""Of each of the two that live on."""
_SECONDS_MAX = 10


@pytest.fixture(scope="module")
def servers():
    with running(*KINDS, is_behind_proxy=True) as all_three:
        yield all_three


@pytest.fixture
async def network(servers):
    async with Network(servers) as one:
        yield one


@pytest.fixture
async def people(servers, network, come):
    """A user of each, all in one room; returns them and the room's ID."""
    alice, bob, carol = [
        await come(server, name) for server, name in zip(servers, ("alice", "bob", "carol"), strict=True)
    ]
    room_id = await alice.make_room(preset="public_chat")
    for one in (bob, carol):
        await one.join_by(room_id, servers[0].name)
    for one in (alice, bob, carol):
        for other in (alice, bob, carol):
            await one.sees_member(room_id, other.user_id, "join")
    return (alice, bob, carol), room_id


async def said(person, room_id):
    """All that was said, by event ID, as a person finds it in the history."""
    events = await person.history(room_id, 10_000)
    messages = (event for event in events if event["type"] == "m.room.message")
    return {event["event_id"]: event["content"].get("body") for event in messages}


async def talk(person, room_id, count, name):
    """Say something many times, eight at once."""
    for start in range(0, count, 8):
        await asyncio.gather(*(
            person.say(room_id, f"{name} {number}") for number in range(start, min(start + 8, count))
        ))  # fmt: skip


async def all_have(everybody, room_id, count, patience_s):
    """Until all find so many messages, the same ones; returns the seconds."""
    started = time.monotonic()
    complete = []
    for person in everybody:
        while len(found := await said(person, room_id)) < count:
            assert time.monotonic() - started < patience_s, (count, len(found), person.server.told())
            await asyncio.sleep(0.5)
        complete.append(found)
    assert all(one == complete[0] for one in complete)
    return time.monotonic() - started


async def test_a_server_that_was_dead_for_two_thousand_messages_has_all_within_ten_seconds(servers, people):
    (alice, bob, carol), room_id = people
    servers[0].kill()
    await asyncio.gather(talk(bob, room_id, MESSAGES, "bob"), talk(carol, room_id, MESSAGES, "carol"))
    await all_have((bob, carol), room_id, 2 * MESSAGES, 60)
    await asyncio.to_thread(servers[0].start)
    seconds = await all_have((alice, bob, carol), room_id, 2 * MESSAGES, 60)
    await same_state(room_id, alice, bob, carol)

    assert seconds < _SECONDS_MAX

async def test_a_server_that_was_cut_off_agrees_with_the_others_once_it_is_back(servers, people, network):
    (alice, bob, carol), room_id = people
    await alice.set_state(room_id, "m.room.power_levels", {
        "users": {bob.user_id: 50, carol.user_id: 50}, "events": {"m.room.topic": 50}
    })  # fmt: skip
    await same_state(room_id, alice, bob, carol)
    await network.cut_off(servers[0])
    for number in range(20):
        await alice.say(room_id, f"alice alone {number}")
        await alice.set_state(room_id, "m.room.topic", {"topic": f"of Alice {number}"})
        await bob.say(room_id, f"bob alone {number}")
        await carol.set_state(room_id, "m.room.topic", {"topic": f"of Carol {number}"})
        await carol.say(room_id, f"carol alone {number}")
    network.heal()
    for person in people[0]:
        await person.say(room_id, f"together again, {person.user_id}")
    for person in people[0]:
        for other in people[0]:
            await person.sees(room_id, f"together again, {other.user_id}", 60)
    await same_state(room_id, alice, bob, carol, patience_s=60)

    await all_have((alice, bob, carol), room_id, 63, 60)


async def test_who_is_kicked_where_she_is_cut_off_from_is_out_for_all_in_the_end(servers, people, network):
    (alice, bob, carol), room_id = people
    await network.cut_off(servers[0])
    await alice.act(room_id, "kick", carol.user_id)
    await carol.say(room_id, "Carol knows of nothing")
    await bob.sees(room_id, "Carol knows of nothing")
    network.heal()
    await alice.say(room_id, "together again")
    await bob.sees(room_id, "together again", 60)
    await carol.is_in(room_id, "leave")
    await bob.say(room_id, "Carol is gone")
    await alice.sees(room_id, "Carol is gone", 60)
    await same_state(room_id, alice, bob)

    assert "Carol knows of nothing" not in (await said(alice, room_id)).values()  # it came after the kick


async def test_who_was_told_by_one_server_only_hears_the_rest_from_it(servers, people, network):
    (alice, bob, carol), room_id = people
    await network.cut_off(servers[0])
    await bob.say(room_id, "Alice cannot hear this")
    await carol.sees(room_id, "Alice cannot hear this")
    servers[1].kill()
    network.heal()
    await carol.say(room_id, "Bob is dead by now")
    await alice.sees(room_id, "Bob is dead by now", 60)
    found = set((await said(alice, room_id)).values())
    await asyncio.to_thread(servers[1].start)

    assert found == {"Alice cannot hear this", "Bob is dead by now"}
