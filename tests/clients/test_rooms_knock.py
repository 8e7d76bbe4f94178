from urllib.parse import quote

import pytest

FORBIDDEN = (403, "M_FORBIDDEN")
VERSIONS = ("7", "10", "11", "12")


async def knockable(user, version="12", **wishes):
    rules = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    return await user.create(room_version=version, initial_state=[rules], **wishes)


async def knock(user, room, **body):
    return await user.ask("POST", f"/knock/{quote(room)}?via=localhost&server_name=elsewhere", body)


async def try_knock(user, room):
    return await user.try_("POST", f"/knock/{quote(room)}", {})


async def section(user, name):
    return (await user.get("/sync"))["rooms"].get(name, {}) if "rooms" in await user.get("/sync") else {}


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_knocks_is_let_in_by_an_invitation(alice, bob, version):
    room = await knockable(alice, version)
    assert await knock(bob, room, reason="Please") == {"room_id": room}

    member = await alice.state(room, "m.room.member", bob.user_id)
    assert member == {"membership": "knock", "displayname": "bob", "reason": "Please"}
    assert await bob.try_act(room, "join") == FORBIDDEN
    await alice.act(room, "invite", user_id=bob.user_id)
    await bob.act(room, "join")
    assert await alice.membership(room, bob.user_id) == "join"


async def test_who_knocks_is_told_so_by_sync_and_knows_the_room(alice, bob):
    room = await knockable(alice, name="Club", room_alias_name="club")
    await knock(bob, "#club:localhost")

    stripped = (await section(bob, "knock"))[room]["knock_state"]["events"]
    assert "Club" in [event["content"].get("name") for event in stripped]
    assert [e["content"]["membership"] for e in stripped if e.get("state_key") == bob.user_id] == ["knock"]
    members = (await section(alice, "join"))[room]["timeline"]["events"]
    assert [e["content"]["membership"] for e in members if e.get("state_key") == bob.user_id] == ["knock"]


async def test_a_knock_is_rejected_by_a_kick(alice, bob):
    room = await knockable(alice)
    await knock(bob, room)
    await alice.act(room, "kick", user_id=bob.user_id, reason="No")

    assert await alice.membership(room, bob.user_id) == "leave"
    assert await section(bob, "knock") == {}
    await knock(bob, room)
    assert await alice.membership(room, bob.user_id) == "knock"


async def test_a_knock_is_taken_back_by_leaving(alice, bob):
    room = await knockable(alice)
    await knock(bob, room)
    await bob.act(room, "leave")

    assert await alice.membership(room, bob.user_id) == "leave"


async def test_knocking_again_changes_nothing(alice, bob):
    room = await knockable(alice)
    await knock(bob, room)
    before = (await alice.all_state(room))["m.room.member", bob.user_id]
    await knock(bob, room, reason="Again")

    assert (await alice.all_state(room))["m.room.member", bob.user_id]["event_id"] == before["event_id"]


async def test_those_who_are_in_invited_or_banned_cannot_knock(alice, bob, carol):
    room = await knockable(alice)
    await alice.act(room, "invite", user_id=bob.user_id)
    await alice.act(room, "ban", user_id=carol.user_id)

    assert await try_knock(alice, room) == FORBIDDEN
    assert await try_knock(bob, room) == FORBIDDEN
    assert await try_knock(carol, room) == FORBIDDEN


@pytest.mark.parametrize(
    ("version", "join_rule"),
    [("6", "knock"), ("9", "knock_restricted"), ("12", "invite"), ("12", "public"), ("12", "restricted")],
)
async def test_rooms_that_let_nobody_knock_say_so(alice, bob, version, join_rule):
    rules = {"type": "m.room.join_rules", "content": {"join_rule": join_rule}}
    room = await alice.create(room_version=version, initial_state=[rules])

    assert await try_knock(bob, room) == FORBIDDEN


@pytest.mark.parametrize("version", ["10", "12"])
async def test_a_restricted_room_that_lets_knock_is_knocked_on(alice, bob, version):
    content = {"join_rule": "knock_restricted", "allow": []}
    rules = {"type": "m.room.join_rules", "content": content}
    room = await alice.create(room_version=version, initial_state=[rules])
    await knock(bob, room)

    assert await alice.membership(room, bob.user_id) == "knock"


@pytest.mark.parametrize(
    ("room", "status", "errcode"),
    [
        ("!nowhere:localhost", 404, "M_NOT_FOUND"),
        ("#nowhere:localhost", 404, "M_NOT_FOUND"),
        ("nonsense", 400, "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_room_cannot_be_knocked_on(alice, room, status, errcode):
    assert await try_knock(alice, room) == (status, errcode)


async def test_a_knock_may_be_set_as_state(alice, bob, carol):
    room = await knockable(alice)
    await bob.set_state(room, "m.room.member", {"membership": "knock"}, bob.user_id)

    assert await alice.membership(room, bob.user_id) == "knock"
    knocking = {"membership": "knock"}
    assert await bob.try_set_state(room, "m.room.member", knocking, carol.user_id) == FORBIDDEN
