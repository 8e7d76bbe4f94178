import asyncio
from urllib.parse import quote

import pytest

from tests.doubles.rooms import message

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")
WORLD_READABLE = {"history_visibility": "world_readable"}
VISIBILITY = "m.room.history_visibility"


async def snapshot(user, room, query=""):
    return await user.get(f"/rooms/{quote(room)}/initialSync{query}")


def bodies(events):
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


async def stream(user, since=None, *, room=None, timeout_ms=0):
    query = (
        f"timeout={timeout_ms}" + (f"&from={since}" if since else "") + (f"&room_id={room}" if room else "")
    )
    return await user.get(f"/events?{query}")


@pytest.fixture
async def readable(alice):
    """Make a room that the world may read."""
    return await alice.create(initial_state=[{"type": VISIBILITY, "content": WORLD_READABLE}])


async def test_a_snapshot_has_the_state_and_the_last_messages_of_a_room(alice):
    room = await alice.create(visibility="public", name="Pub")
    for number in range(4):
        await alice.send(room, f"{number}")
    await alice.ask("PUT", f"/user/{alice.user_id}/rooms/{quote(room)}/account_data/org.x", {"a": 1})
    told = await snapshot(alice, room, "?limit=3")

    assert (told["room_id"], told["membership"], told["visibility"]) == (room, "join", "public")
    assert bodies(told["messages"]["chunk"]) == ["1", "2", "3"]
    assert {e["room_id"] for e in told["messages"]["chunk"] + told["state"]} == {room}
    assert {(e["type"], e["state_key"]) for e in told["state"]} == set(await alice.all_state(room))
    assert told["account_data"] == [{"type": "org.x", "content": {"a": 1}}]
    earlier = await alice.texts(room, f"dir=b&from={told['messages']['start']}")
    assert earlier == ["0"]
    await alice.send(room, "later")
    assert await alice.texts(room, f"dir=f&from={told['messages']['end']}") == ["later"]


async def test_the_world_looks_into_a_room_that_it_may_read(alice, bob, readable):
    await alice.send(readable, "public")
    told = await snapshot(bob, readable)
    assert bodies(told["messages"]["chunk"]) == ["public"]
    assert "membership" not in told

    await alice.set_state(readable, VISIBILITY, {"history_visibility": "shared"})
    assert await bob.try_("GET", f"/rooms/{quote(readable)}/initialSync") == FORBIDDEN


async def test_who_has_left_sees_the_room_as_it_was(alice, bob):
    room = await alice.create(preset="public_chat", name="Then")
    await bob.act(room, "join")
    await alice.send(room, "before")
    await bob.act(room, "leave")
    await alice.send(room, "after")
    await alice.set_state(room, "m.room.name", {"name": "Now"})
    told = await snapshot(bob, room)

    assert told["membership"] == "leave"
    assert bodies(told["messages"]["chunk"]) == ["before"]
    assert [e["content"]["name"] for e in told["state"] if e["type"] == "m.room.name"] == ["Then"]


async def test_strangers_see_nothing(alice, bob):
    room = await alice.create()
    event_id = await alice.send(room)

    assert await bob.try_("GET", f"/rooms/{quote(room)}/initialSync") == FORBIDDEN
    assert await bob.try_("GET", "/rooms/!nowhere:localhost/initialSync") == FORBIDDEN
    assert await bob.try_("GET", f"/events/{quote(event_id)}") == NOT_FOUND
    assert await bob.try_("GET", f"/events?room_id={quote(room)}&timeout=0") == FORBIDDEN


async def test_an_event_is_read_by_its_id_alone(alice):
    room = await alice.create()
    event_id = await alice.send(room, "here")

    told = await alice.get(f"/events/{quote(event_id)}")
    assert (told["room_id"], told["content"]) == (room, message("here"))
    assert await alice.try_("GET", "/events/$nothing") == NOT_FOUND


async def test_an_initial_sync_has_every_room_and_where_to_go_on(alice, bob, carol):
    joined = await alice.create(preset="public_chat")
    invited, left, gone = [await bob.create(preset="public_chat") for _ in range(3)]
    await bob.act(invited, "invite", user_id=alice.user_id)
    for room in (left, gone):
        await alice.act(room, "join")
        await alice.act(room, "leave")
    await alice.act(gone, "forget")
    await alice.ask("PUT", f"/user/{alice.user_id}/account_data/org.x", {"a": 1})
    told = await alice.get("/initialSync?limit=1")

    rooms = {room["room_id"]: room for room in told["rooms"]}
    assert {room_id: room["membership"] for room_id, room in rooms.items()} == {
        joined: "join", invited: "invite",
    }  # fmt: skip
    assert rooms[invited]["invite"]["state_key"] == alice.user_id
    assert len(rooms[joined]["messages"]["chunk"]) == 1
    assert {"type": "org.x", "content": {"a": 1}} in told["account_data"]
    archived = (await alice.get("/initialSync?archived=true"))["rooms"]
    assert {room["room_id"]: room["membership"] for room in archived} == {
        joined: "join", invited: "invite", left: "leave",
    }  # fmt: skip
    assert (await carol.get("/initialSync"))["rooms"] == []
    await carol.act(joined, "join")
    (event,) = (await stream(alice, told["end"]))["chunk"]
    assert (event["room_id"], event["state_key"]) == (joined, carol.user_id)


async def test_an_initial_sync_tells_who_is_here(alice, bob, carol):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    for user in (bob, carol):
        await user.ask("PUT", f"/presence/{quote(user.user_id)}/status", {"presence": "online"})

    (event,) = (await alice.get("/initialSync"))["presence"]

    assert (event["type"], event["sender"]) == ("m.presence", bob.user_id)
    assert event["content"]["presence"] == "online"


@pytest.mark.parametrize(
    ("type_", "content"),
    [
        ("m.ignored_user_list", {"ignored_users": {"@bob:localhost": {}}}),
        ("m.invite_permission_config", {"default_action": "block"}),
    ],
)
async def test_invites_that_nobody_wants_are_not_told(alice, bob, type_, content):
    end = (await alice.get("/initialSync"))["end"]
    room = await bob.create()
    await bob.act(room, "invite", user_id=alice.user_id)
    assert [one["room_id"] for one in (await alice.get("/initialSync"))["rooms"]] == [room]
    assert len((await stream(alice, end))["chunk"]) == 1
    await alice.ask("PUT", f"/user/{quote(alice.user_id)}/account_data/{type_}", content)

    assert (await alice.get("/initialSync"))["rooms"] == []
    assert (await stream(alice, end))["chunk"] == []
    assert bob.user_id == "@bob:localhost"


async def test_the_stream_tells_each_event_of_the_users_rooms_once(alice, bob):
    room = await alice.create(preset="public_chat")
    other = await bob.create()
    await bob.act(room, "join")
    here = (await stream(bob))["end"]
    await alice.send(room, "one")
    await bob.send(other, "two")
    private = await alice.create()
    await alice.send(private, "not for Bob")
    first = await stream(bob, here)
    await alice.set_state(room, "m.room.topic", {"topic": "T"})
    await alice.set_state(room, "m.room.topic", {"topic": "U"})
    second = await stream(bob, first["end"])

    assert first["start"] == here
    assert [(e["room_id"], e["content"]["body"]) for e in first["chunk"]] == [(room, "one"), (other, "two")]
    assert [e["content"] for e in second["chunk"]] == [{"topic": "T"}, {"topic": "U"}]
    assert second["chunk"][1]["unsigned"]["prev_content"] == {"topic": "T"}
    assert (await stream(bob, second["end"]))["chunk"] == []


async def test_the_stream_tells_of_invitations_and_ends_with_the_users_leaving(alice, bob):
    room = await alice.create(preset="public_chat")
    here = (await stream(bob))["end"]
    await alice.send(room, "before")
    await alice.act(room, "invite", user_id=bob.user_id)
    invited = await stream(bob, here)
    await bob.act(room, "join")
    await alice.act(room, "kick", user_id=bob.user_id)
    await alice.send(room, "after")
    left = await stream(bob, invited["end"])

    assert [e["content"]["membership"] for e in invited["chunk"]] == ["invite"]
    assert [e["content"].get("membership") for e in left["chunk"]] == ["join", "leave"]


async def test_the_stream_goes_on_after_a_restart(rooms_server, alice):
    room = await alice.create()
    here = (await stream(alice))["end"]
    await alice.send(room, "one")
    await rooms_server.restart()
    told = await stream(alice, here)

    assert bodies(told["chunk"]) == ["one"]


async def test_a_long_stretch_comes_in_pieces(alice):
    room = await alice.create()
    here = (await stream(alice))["end"]
    for number in range(120):
        await alice.send(room, f"{number}")
    first = await stream(alice, here)
    second = await stream(alice, first["end"])

    assert bodies(first["chunk"] + second["chunk"]) == [f"{number}" for number in range(120)]
    assert len(first["chunk"]) == 100


async def test_whoever_waits_is_told_when_something_happens(alice, bob, readable):
    here = (await stream(alice))["end"]
    waiting = [
        asyncio.ensure_future(stream(alice, here, timeout_ms=60_000)),
        asyncio.ensure_future(stream(bob, here, room=quote(readable), timeout_ms=60_000)),
    ]
    for _ in range(3):
        await alice.get("/joined_rooms")  # takes its time, in which they come to wait
    assert [one.done() for one in waiting] == [False, False]
    await alice.send(readable, "news")

    for told in await asyncio.gather(*waiting):
        assert bodies(told["chunk"]) == ["news"]
    assert bob.server.storage.notifier.watch._waiters == {}


async def test_who_looks_into_a_room_sees_only_what_the_world_may(alice, bob, readable):
    here = (await stream(bob, room=quote(readable)))["end"]
    await alice.send(readable, "public")
    await alice.set_state(readable, VISIBILITY, {"history_visibility": "joined"})
    await alice.send(readable, "secret")
    await alice.set_state(readable, VISIBILITY, WORLD_READABLE)
    await alice.send(readable, "public again")
    told = await stream(bob, here, room=quote(readable))

    assert bodies(told["chunk"]) == ["public", "public again"]


@pytest.mark.parametrize(
    "path",
    [
        "/events?from=nonsense&timeout=0",
        "/events?timeout=soon",
        "/events?timeout=-1",
        "/initialSync?limit=x",
        "/initialSync?archived=maybe",
    ],
)
async def test_questions_that_make_no_sense_are_refused(alice, path):
    assert await alice.try_("GET", path) == (400, "M_INVALID_PARAM")
