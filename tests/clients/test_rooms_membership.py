import asyncio
from urllib.parse import quote

import pytest

FORBIDDEN = (403, "M_FORBIDDEN")
NOBODY = "@nobody:localhost"
AUTHORISED = "join_authorised_via_users_server"


@pytest.fixture
async def room(alice):
    return await alice.create(preset="public_chat", room_alias_name="room")


@pytest.fixture
async def private(alice):
    return await alice.create()


async def test_a_public_room_is_joined_by_id_or_alias(alice, bob, carol, room):
    by_alias = await bob.ask("POST", f"/join/{quote('#room:localhost')}", {})
    by_id = await carol.ask("POST", f"/join/{quote(room)}", {"reason": "Curious"})

    assert by_alias == by_id == {"room_id": room}
    assert (await bob.get("/joined_rooms"))["joined_rooms"] == [room]
    member = await alice.state(room, "m.room.member", carol.user_id)
    assert (member["membership"], member["reason"]) == ("join", "Curious")


async def test_joining_again_changes_nothing(alice, bob, room):
    await bob.act(room, "join")
    before = (await alice.all_state(room))["m.room.member", bob.user_id]
    assert await bob.act(room, "join") == {"room_id": room}

    after = (await alice.all_state(room))["m.room.member", bob.user_id]
    assert after["event_id"] == before["event_id"]


async def test_joins_at_once_make_one_event(alice, bob, room):
    answers = await asyncio.gather(*[bob.act(room, "join") for _ in range(5)])

    assert answers == [{"room_id": room}] * 5
    chunk = (await alice.messages(room))["chunk"]
    assert len([event for event in chunk if event.get("state_key") == bob.user_id]) == 1


async def test_the_name_of_a_user_is_shown_in_the_room(alice, bob, room):
    await bob.ask("PUT", f"/profile/{quote(bob.user_id)}/displayname", {"displayname": "Bob"})
    await bob.act(room, "join")

    joined = (await alice.get(f"/rooms/{quote(room)}/joined_members"))["joined"]
    assert joined == {alice.user_id: {"display_name": "alice"}, bob.user_id: {"display_name": "Bob"}}


@pytest.mark.parametrize(
    ("target", "status", "errcode"),
    [
        ("!nowhere:localhost", 404, "M_NOT_FOUND"),
        ("#nowhere:localhost", 404, "M_NOT_FOUND"),
        ("nonsense", 400, "M_INVALID_PARAM"),
        ("#nonsense", 400, "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_room_cannot_be_joined(alice, target, status, errcode):
    assert await alice.try_("POST", f"/join/{quote(target)}", {}) == (status, errcode)


async def test_a_private_room_lets_in_who_is_invited(alice, bob, carol, private):
    assert await bob.try_act(private, "join") == FORBIDDEN
    await alice.act(private, "invite", user_id=bob.user_id, reason="Come in")
    assert (await alice.state(private, "m.room.member", bob.user_id))["reason"] == "Come in"
    await bob.act(private, "join")

    assert await alice.membership(private, bob.user_id) == "join"
    assert await carol.try_act(private, "join") == FORBIDDEN


async def test_only_members_invite_and_nobody_who_is_in(alice, bob, carol, private):
    assert await bob.try_act(private, "invite", user_id=carol.user_id) == FORBIDDEN
    await alice.act(private, "invite", user_id=bob.user_id)
    assert await bob.try_act(private, "invite", user_id=carol.user_id) == FORBIDDEN
    await bob.act(private, "join")

    assert await alice.try_act(private, "invite", user_id=bob.user_id) == FORBIDDEN
    await bob.act(private, "invite", user_id=carol.user_id)


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({}, 400, "M_MISSING_PARAM"),
        ({"user_id": "bob"}, 400, "M_INVALID_PARAM"),
        ({"user_id": "@bob:elsewhere"}, 403, "M_FORBIDDEN"),
        ({"user_id": 3}, 400, "M_BAD_JSON"),
    ],
)
async def test_who_is_no_user_of_ours_cannot_be_invited(alice, private, body, status, errcode):
    assert await alice.try_act(private, "invite", **body) == (status, errcode)


async def test_an_invitation_is_refused_by_leaving(alice, bob, private):
    await alice.act(private, "invite", user_id=bob.user_id)
    await bob.act(private, "leave", reason="No")

    assert await alice.membership(private, bob.user_id) == "leave"
    assert await bob.try_act(private, "join") == FORBIDDEN


async def test_leaving_again_changes_nothing_and_strangers_cannot_leave(alice, bob, carol, room):
    await bob.act(room, "join")
    await bob.act(room, "leave")
    before = (await alice.all_state(room))["m.room.member", bob.user_id]
    assert await bob.act(room, "leave") == {}

    assert (await alice.all_state(room))["m.room.member", bob.user_id]["event_id"] == before["event_id"]
    assert (await bob.get("/joined_rooms"))["joined_rooms"] == []
    assert await carol.try_act(room, "leave") == FORBIDDEN
    assert await bob.try_send(room) == FORBIDDEN


async def test_a_moderator_kicks_and_others_do_not(alice, bob, carol, room):
    await bob.act(room, "join")
    await carol.act(room, "join")
    assert await carol.try_act(room, "kick", user_id=bob.user_id) == FORBIDDEN
    assert await carol.try_act(room, "kick", user_id=alice.user_id) == FORBIDDEN
    await alice.act(room, "kick", user_id=bob.user_id, reason="Noise")

    member = await alice.state(room, "m.room.member", bob.user_id)
    assert (member["membership"], member["reason"]) == ("leave", "Noise")
    assert await alice.try_act(room, "kick", user_id=bob.user_id) == FORBIDDEN
    assert await alice.try_act(room, "kick", user_id=NOBODY) == FORBIDDEN
    await bob.act(room, "join")


async def test_the_banned_stay_out_until_the_ban_is_lifted(alice, bob, carol, room):
    await bob.act(room, "join")
    await carol.act(room, "join")
    assert await carol.try_act(room, "ban", user_id=bob.user_id) == FORBIDDEN
    await alice.act(room, "ban", user_id=bob.user_id, reason="Spam")

    assert await bob.try_act(room, "join") == FORBIDDEN
    assert await bob.try_act(room, "leave") == FORBIDDEN
    assert await alice.try_act(room, "invite", user_id=bob.user_id) == FORBIDDEN
    assert await alice.try_act(room, "kick", user_id=bob.user_id) == FORBIDDEN
    assert await carol.try_act(room, "unban", user_id=bob.user_id) == FORBIDDEN
    await alice.act(room, "unban", user_id=bob.user_id)
    assert await alice.try_act(room, "unban", user_id=bob.user_id) == FORBIDDEN
    await bob.act(room, "join")


async def test_who_never_was_in_the_room_can_be_banned(alice, bob, room):
    await alice.act(room, "ban", user_id=bob.user_id)

    assert await bob.try_act(room, "join") == FORBIDDEN


@pytest.mark.parametrize("action", ["kick", "ban", "unban"])
@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [({}, 400, "M_BAD_JSON"), ({"user_id": "bob"}, 400, "M_INVALID_PARAM"), ([], 400, "M_BAD_JSON")],
)
async def test_whom_it_is_about_must_be_said(alice, room, action, body, status, errcode):
    assert await alice.try_("POST", f"/rooms/{quote(room)}/{action}", body) == (status, errcode)


@pytest.mark.parametrize("action", ["invite", "kick", "ban", "unban"])
async def test_strangers_cannot_tell_a_private_room_from_none(bob, private, action):
    there = await bob.try_act(private, action, user_id="@alice:localhost")
    nowhere = await bob.try_act("!nowhere:localhost", action, user_id="@alice:localhost")

    assert there == nowhere == FORBIDDEN


async def test_a_room_is_forgotten_once_it_is_left(alice, bob, room):
    assert await bob.try_act(room, "forget") == (404, "M_NOT_FOUND")
    await bob.act(room, "join")
    assert await bob.try_act(room, "forget") == (400, "M_UNKNOWN")
    await bob.act(room, "leave")
    assert (await bob.messages(room))["chunk"]
    archive = "/sync?filter=" + quote('{"room":{"include_leave":true}}')
    assert room in (await bob.get(archive))["rooms"]["leave"]
    await bob.act(room, "forget")

    assert "rooms" not in await bob.get(archive)
    assert await bob.try_("GET", f"/rooms/{quote(room)}/messages?dir=b") == FORBIDDEN
    assert await bob.try_("GET", f"/rooms/{quote(room)}/state") == FORBIDDEN
    await bob.act(room, "join")
    assert (await bob.messages(room))["chunk"]
    assert await alice.membership(room, bob.user_id) == "join"


async def test_a_client_cannot_say_that_somebody_vouched_for_a_join(alice, bob, carol):
    gate = await alice.create()
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": gate}]}
    room = await alice.create(initial_state=[{"type": "m.room.join_rules", "content": rule}])
    forged = {"membership": "join", AUTHORISED: alice.user_id}

    assert await bob.try_set_state(room, "m.room.member", forged, bob.user_id) == FORBIDDEN
    await alice.act(room, "invite", user_id=carol.user_id)
    await carol.set_state(room, "m.room.member", forged, carol.user_id)
    assert AUTHORISED not in await alice.state(room, "m.room.member", carol.user_id)


async def test_membership_set_as_state_obeys_the_same_rules(alice, bob, carol, room):
    await bob.set_state(room, "m.room.member", {"membership": "join", "displayname": "B"}, bob.user_id)
    assert await alice.membership(room, bob.user_id) == "join"
    join = {"membership": "join"}
    for user_id, answer in [
        (carol.user_id, FORBIDDEN),
        ("@carol:elsewhere", FORBIDDEN),
        ("carol", (400, "M_INVALID_PARAM")),
    ]:
        assert await bob.try_set_state(room, "m.room.member", join, user_id) == answer
    ban = {"membership": "ban"}
    assert await bob.try_set_state(room, "m.room.member", ban, alice.user_id) == FORBIDDEN


async def test_a_new_name_reaches_the_rooms_of_the_user(rooms_server, alice, bob, room):
    await bob.act(room, "join")
    await bob.ask("PUT", f"/profile/{quote(bob.user_id)}/displayname", {"displayname": "Bobby"})
    await rooms_server.services.rooms.membership.profile_changed(bob.user_id)

    assert (await alice.state(room, "m.room.member", bob.user_id))["displayname"] == "Bobby"
