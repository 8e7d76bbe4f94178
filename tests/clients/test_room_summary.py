"""Summaries of single rooms."""

from urllib.parse import quote

import pytest

V1 = "/_matrix/client/v1"
NOT_FOUND = (404, "M_NOT_FOUND")


async def summary(user, room, server=None):
    path = f"{V1}/room_summary/{quote(room, safe='')}"
    status, answer = await (server or user.server).call("GET", path, token=user and user.token)
    return status, answer.get("errcode", answer)


def state(event_type, **content):
    return {"type": event_type, "content": content}


async def test_a_summary_tells_what_the_specification_names(rooms_server, alice, bob):
    room = await alice.create(
        preset="public_chat", name="Kitchen", topic="Pots", room_alias_name="kitchen",
        initial_state=[
            state("m.room.encryption", algorithm="m.megolm.v1.aes-sha2"),
            state("m.room.avatar", url="mxc://localhost/pot"),
        ],
    )  # fmt: skip
    told = {
        "room_id": room, "name": "Kitchen", "topic": "Pots", "canonical_alias": "#kitchen:localhost",
        "avatar_url": "mxc://localhost/pot", "num_joined_members": 1, "world_readable": False,
        "guest_can_join": False, "join_rule": "public", "encryption": "m.megolm.v1.aes-sha2",
        "room_version": "12",
    }  # fmt: skip

    assert await summary(bob, room) == (200, {**told, "membership": "leave"})
    assert await summary(alice, "#kitchen:localhost") == (200, {**told, "membership": "join"})
    assert await summary(None, room, rooms_server) == (200, told)


@pytest.mark.parametrize("path", ["summary/{}", "rooms/{}/summary"])
async def test_clients_that_ask_where_it_was_before_find_it(rooms_server, alice, path):
    room = await alice.create()
    path = "/_matrix/client/unstable/im.nheko.summary/" + path.format(quote(room))
    status, answer = await rooms_server.call("GET", path, token=alice.token)

    assert (status, answer["room_id"]) == (200, room)


async def test_a_private_room_shows_itself_to_those_in_it_or_invited(rooms_server, alice, bob, carol):
    room = await alice.create(invite=[bob.user_id])

    assert (await summary(bob, room))[1]["membership"] == "invite"
    assert (await summary(alice, room))[1]["membership"] == "join"
    assert await summary(carol, room) == NOT_FOUND
    assert await summary(None, room, rooms_server) == NOT_FOUND
    await bob.act(room, "leave")
    assert await summary(bob, room) == NOT_FOUND


async def test_a_restricted_room_shows_itself_to_those_who_may_join(rooms_server, alice, bob, carol):
    allowing = await alice.create(preset="public_chat")
    await bob.act(allowing, "join")
    allow = [{"type": "m.room_membership", "room_id": allowing}, {"type": "odd", "room_id": "!x:y"}, 5]
    room = await alice.create(initial_state=[state("m.room.join_rules", join_rule="restricted", allow=allow)])

    assert (await summary(bob, room))[1]["allowed_room_ids"] == [allowing]
    assert await summary(carol, room) == NOT_FOUND
    assert await summary(None, room, rooms_server) == NOT_FOUND


@pytest.mark.parametrize("join_rule", ["public", "knock", "knock_restricted"])
async def test_whoever_is_banned_is_told_nothing(alice, bob, join_rule):
    room = await alice.create(initial_state=[state("m.room.join_rules", join_rule=join_rule)])
    assert (await summary(bob, room))[0] == 200
    await alice.act(room, "ban", user_id=bob.user_id)

    assert await summary(bob, room) == NOT_FOUND


@pytest.mark.parametrize(
    ("room", "status", "errcode"),
    [("!nowhere:localhost", 404, "M_NOT_FOUND"), ("#nowhere:localhost", 404, "M_NOT_FOUND"),
     ("nonsense", 400, "M_INVALID_PARAM"), ("#nonsense", 400, "M_INVALID_PARAM"),
     ("!", 400, "M_INVALID_PARAM"), ("@alice:localhost", 400, "M_INVALID_PARAM"),
     ("!" + "x" * 300, 400, "M_INVALID_PARAM")],
)  # fmt: skip
async def test_what_is_no_room_has_no_summary(alice, room, status, errcode):
    assert await summary(alice, room) == (status, errcode)
