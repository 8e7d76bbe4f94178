"""What erased users said stays with those who were there."""

import pytest


@pytest.fixture
async def room(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    return room_id


async def test_who_comes_later_does_not_see_what_an_erased_user_said(rooms_server, alice, bob, carol, room):
    before = await bob.send(room, "before")
    await rooms_server.storage.reads.erased_users.add(bob.user_id, 1)
    await carol.act(room, "join")
    after = await bob.send(room, "after")

    assert (await carol.event(room, before))["content"] == {}
    assert (await carol.event(room, after))["content"]["body"] == "after"
    assert (await alice.event(room, before))["content"]["body"] == "before"
    assert await carol.texts(room) == ["after", None]
    assert await alice.texts(room) == ["after", "before"]


@pytest.mark.parametrize("is_first", [True, False])
async def test_nor_does_their_sync_tell_it(rooms_server, alice, bob, carol, room, is_first):
    await bob.send(room, "before")
    since = "" if is_first else f"?since={(await carol.get('/sync'))['next_batch']}"
    await rooms_server.storage.reads.erased_users.add(bob.user_id, 1)
    await carol.act(room, "join")
    await bob.send(room, "after")

    assert await texts(carol, room, since) == [None, "after"]
    assert await texts(alice, room, "") == ["before", "after"]


async def texts(user, room, query):
    timeline = (await user.get(f"/sync{query}"))["rooms"]["join"][room]["timeline"]["events"]
    return [event["content"].get("body") for event in timeline if event["type"] == "m.room.message"]


async def test_erasing_twice_is_erasing_and_survives_a_restart(rooms_server, alice, bob, carol, room):
    said = await bob.send(room, "before")
    for _ in range(2):
        await rooms_server.storage.reads.erased_users.add(bob.user_id, 1)
    await rooms_server.restart()
    await carol.act(room, "join")

    assert (await carol.event(room, said))["content"] == {}
