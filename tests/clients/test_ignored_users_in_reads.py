"""Whoever reads a room's past does not see what ignored users said in it."""

from urllib.parse import quote

import pytest

from tests.doubles.relating import bundle, get_v1, relations, reply


@pytest.fixture
async def room(alice, bob, carol):
    """Make a room where bob, whom alice ignores, says as much as carol: its ID, and the root of a thread."""
    room_id = await alice.create(preset="public_chat")
    for user in (bob, carol):
        await user.act(room_id, "join")
    root = await alice.send(room_id, "root")
    for user in (bob, carol, bob, carol):
        await reply(user, room_id, root)
    await ignore(alice, bob)
    await bob.set_state(room_id, "m.room.member", {"membership": "join", "displayname": "B"}, bob.user_id)
    return room_id, root


async def ignore(user, *others):
    path = f"/user/{quote(user.user_id)}/account_data/m.ignored_user_list"
    await user.ask("PUT", path, {"ignored_users": {other.user_id: {} for other in others}})


def senders(events):
    return {event["sender"] for event in events if "state_key" not in event}


async def test_messages_context_relations_and_threads_leave_them_out(alice, bob, carol, room):
    room_id, root = room
    older = (await alice.messages(room_id))["chunk"]
    newer = (await alice.messages(room_id, "dir=f&limit=100"))["chunk"]
    context = await alice.get(f"/rooms/{quote(room_id)}/context/{quote(root, safe='')}?limit=50")
    related = (await relations(alice, room_id, root))["chunk"]
    (thread,) = (await get_v1(alice, room_id, "threads"))["chunk"]

    assert senders(older) == senders(newer) == {alice.user_id, carol.user_id}
    assert senders(context["events_after"]) == senders(related) == {carol.user_id}
    for event in (context["event"], thread):
        assert bundle(event)["m.thread"]["count"] == 2
        assert bundle(event)["m.thread"]["latest_event"]["sender"] == carol.user_id
    # Their state is told: the room would look different otherwise.
    assert next(event["sender"] for event in older if "state_key" in event) == bob.user_id


async def test_those_who_ignore_nobody_see_all(bob, carol, room):
    room_id, root = room

    assert bob.user_id in senders((await carol.messages(room_id))["chunk"])
    assert bob.user_id in senders((await relations(carol, room_id, root))["chunk"])


async def test_a_page_is_full_whatever_was_left_out(alice, carol, room):
    room_id, _ = room
    page = await alice.messages(room_id, "dir=b&limit=3")

    assert len(page["chunk"]) == 3


async def test_the_list_counts_from_the_next_read_on(rooms_server, alice, bob, room):
    room_id, _ = room
    await ignore(alice)
    assert bob.user_id in senders((await alice.messages(room_id))["chunk"])

    await ignore(alice, bob)
    assert bob.user_id not in senders((await alice.messages(room_id))["chunk"])
    await rooms_server.restart()
    assert bob.user_id not in senders((await alice.messages(room_id))["chunk"])
