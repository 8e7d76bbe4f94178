"""Invitations between servers: as both clients see them."""

from urllib.parse import quote

import pytest

from tests.doubles.federated_servers import until

VERSIONS = ("1", "6", "10", "12")


async def invited(user, since=""):
    """What /sync says of rooms that the user is invited to: stripped state by type and state key."""
    query = f"?since={since}" if since else ""
    rooms = (await user.get(f"/sync{query}")).get("rooms", {}).get("invite", {})
    return {
        room_id: {(one["type"], one["state_key"]): one for one in room["invite_state"]["events"]}
        for room_id, room in rooms.items()
    }


async def membership(user, room_id, user_id):
    status, content = await user.try_(
        "GET", f"/rooms/{quote(room_id)}/state/m.room.member/{quote(user_id)}"
    )
    return content["membership"] if status == 200 else None


async def becomes(user, room_id, user_id, wanted):
    async def condition():
        return await membership(user, room_id, user_id) == wanted

    await until(condition)


@pytest.fixture
async def room(tess, hal):
    """Make a room there that the user here is invited to."""
    room_id = await tess.create(preset="private_chat", name="Over there", topic="Far")
    await tess.act(room_id, "invite", user_id=hal.user_id)
    return room_id


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_invitation_is_told_with_what_is_known_of_the_room(hal, tess, version):
    room = await tess.create(preset="private_chat", room_version=version, name="Over there")
    since = (await hal.get("/sync"))["next_batch"]
    await tess.act(room, "invite", user_id=hal.user_id, reason="come")

    for told in (await invited(hal), await invited(hal, since)):
        state = told[room]
        assert state["m.room.name", ""]["content"] == {"name": "Over there"}
        assert state["m.room.create", ""]["sender"] == tess.user_id
        assert state["m.room.member", tess.user_id]["content"]["membership"] == "join"
        own = state["m.room.member", hal.user_id]
        assert own["content"] == {"membership": "invite", "reason": "come"} or "displayname" in own["content"]
        assert set(own) <= {"content", "sender", "state_key", "type", "event_id", "origin_server_ts"}
    assert await membership(tess, room, hal.user_id) == "invite"


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_invitation_is_taken_up_without_naming_a_server(hal, tess, version):
    room = await tess.create(preset="private_chat", room_version=version)
    await tess.act(room, "invite", user_id=hal.user_id)

    assert await hal.try_act(room, "join") == (200, {"room_id": room})
    assert await membership(tess, room, hal.user_id) == "join"
    synced = (await hal.get("/sync"))["rooms"]
    assert list(synced["join"]) == [room]
    assert not synced.get("invite")


async def test_an_invitation_outlives_a_restart_and_is_told_to_who_comes_back(here, hal, tess, room):
    since = (await hal.get("/sync"))["next_batch"]
    other = await tess.create(preset="private_chat")
    await tess.act(other, "invite", user_id=hal.user_id)
    await here.restart()

    assert set(await invited(hal)) == {room, other}
    assert set(await invited(hal, since)) == {other}


async def test_sliding_sync_lists_an_invitation_like_any_other(hal, tess, room):
    body = {"lists": {"all": {"ranges": [[0, 9]], "required_state": [], "timeline_limit": 1}}}
    path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    status, answer = await hal.server.call("POST", path, body, token=hal.token)

    assert status == 200
    state = answer["rooms"][room]["invite_state"]
    assert {"m.room.name", "m.room.create"} <= {one["type"] for one in state}
    assert answer["lists"]["all"]["count"] == 1


async def test_sliding_sync_sorts_an_invitation_by_what_was_told_of_the_room(hal, tess):
    path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"

    async def listed(**filters):
        asked = {"ranges": [[0, 9]], "required_state": [], "timeline_limit": 1, "filters": filters}
        _, answer = await hal.server.call("POST", path, {"lists": {"all": asked}}, token=hal.token)
        return sorted(answer.get("rooms", {}))

    encryption = {"type": "m.room.encryption", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
    plain = await tess.create(name="Plain")
    secret = await tess.create(name="Secret", initial_state=[encryption])
    space = await tess.create(name="Space", creation_content={"type": "m.space"})
    for room in (plain, secret, space):
        assert await listed(is_encrypted=False, room_types=[None]) in ([], [plain])
        await tess.act(room, "invite", user_id=hal.user_id)

    assert await listed(is_encrypted=True) == [secret]
    assert await listed(room_types=["m.space"]) == [space]
    assert await listed(room_name_like="pla") == [plain]


async def test_an_invitation_is_refused(hal, tess, wire, room):
    since = (await hal.get("/sync"))["next_batch"]
    await hal.act(room, "leave")

    assert wire.paths("send_leave") == [("here.example", "there.example")]
    assert await membership(tess, room, hal.user_id) == "leave"
    assert await invited(hal) == {}
    left = (await hal.get(f"/sync?since={since}"))["rooms"]["leave"][room]
    assert [one["content"]["membership"] for one in left["timeline"]["events"]] == ["leave"]
    assert await hal.try_act(room, "leave") == (200, {})


async def test_an_invitation_of_a_server_that_is_gone_is_refused_all_the_same(hal, there, wire, room):
    wire.servers.pop("there.example")
    assert await hal.try_act(room, "leave") == (200, {})

    assert await invited(hal) == {}
    wire.servers["there.example"] = there


async def test_what_was_refused_can_be_forgotten_and_asked_again(hal, tess, room):
    await hal.act(room, "leave")
    assert await hal.try_act(room, "forget") == (200, {})
    await becomes(tess, room, hal.user_id, "leave")
    await tess.act(room, "invite", user_id=hal.user_id)

    assert set(await invited(hal)) == {room}
    assert await hal.try_act(room, "forget") == (400, "M_UNKNOWN")
    assert (await hal.try_act(room, "join"))[0] == 200


async def test_an_invitation_is_taken_back(hal, tess, room):
    since = (await hal.get("/sync"))["next_batch"]
    await tess.act(room, "kick", user_id=hal.user_id)

    async def is_gone():
        return await invited(hal) == {}

    await until(is_gone)
    left = (await hal.get(f"/sync?since={since}"))["rooms"]["leave"][room]
    assert [one["sender"] for one in left["timeline"]["events"]] == [tess.user_id]
    assert await hal.try_("POST", f"/join/{quote(room)}?via=there.example", {}) == (403, "M_FORBIDDEN")


async def test_who_was_in_the_room_once_is_invited_back(hal, tess, room):
    await hal.act(room, "join")
    await hal.act(room, "leave")
    await becomes(tess, room, hal.user_id, "leave")
    await tess.act(room, "invite", user_id=hal.user_id)
    await tess.ask("PUT", f"/rooms/{quote(room)}/state/m.room.name/", {"name": "Later"})

    told = await invited(hal)
    assert told[room]["m.room.name", ""]["content"] == {"name": "Over there"}
    assert (await hal.try_act(room, "join"))[0] == 200
    assert await hal.get(f"/rooms/{quote(room)}/state/m.room.name") == {"name": "Later"}


async def test_users_of_another_server_are_invited_when_a_room_is_made(hal, tess):
    room = await tess.create(preset="trusted_private_chat", invite=[hal.user_id], is_direct=True)

    told = await invited(hal)
    assert told[room]["m.room.member", hal.user_id]["content"]["is_direct"] is True
    assert await membership(tess, room, hal.user_id) == "invite"


async def test_a_room_is_made_although_a_server_that_is_invited_is_gone(tess):
    room = await tess.create(invite=["@who:nowhere.example"])

    assert await membership(tess, room, "@who:nowhere.example") is None
    assert (await tess.try_act(room, "invite", user_id="@who:nowhere.example"))[0] == 503


async def test_who_wants_no_invitations_gets_none(hal, tess):
    path = f"/user/{quote(hal.user_id)}/account_data/m.invite_permission_config"
    await hal.ask("PUT", path, {"default_action": "block"})
    room = await tess.create()

    assert await tess.try_act(room, "invite", user_id=hal.user_id) == (403, "M_INVITE_BLOCKED")
    assert await membership(tess, room, hal.user_id) is None


async def test_there_is_nobody_of_that_name(tess, here):
    room = await tess.create()

    assert (await tess.try_act(room, "invite", user_id="@nobody:here.example"))[0] == 404


async def test_the_invitation_of_somebody_ignored_is_not_shown(hal, tess):
    path = f"/user/{quote(hal.user_id)}/account_data/m.ignored_user_list"
    await hal.ask("PUT", path, {"ignored_users": {tess.user_id: {}}})
    room = await tess.create()
    await tess.act(room, "invite", user_id=hal.user_id)

    assert await invited(hal) == {}
    body = {"lists": {"all": {"ranges": [[0, 9]], "required_state": [], "timeline_limit": 1}}}
    path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    _, answer = await hal.server.call("POST", path, body, token=hal.token)
    assert answer["lists"]["all"]["count"] == 0


async def test_nobody_is_invited_from_elsewhere_into_a_room_for_one_server(hal, tess):
    room = await tess.create(creation_content={"m.federate": False})

    assert await tess.try_act(room, "invite", user_id=hal.user_id) == (403, "M_FORBIDDEN")
    assert await invited(hal) == {}


async def test_who_is_invited_twice_stays_invited(hal, tess, wire, room):
    before = len(wire.paths("/v2/invite/"))
    await tess.act(room, "invite", user_id=hal.user_id)

    assert len(wire.paths("/v2/invite/")) == before


async def test_an_invitation_comes_into_a_room_that_is_here(here, hal, tess, room):
    await hal.act(room, "join")
    ida = await here.user("ida")
    await tess.act(room, "invite", user_id=ida.user_id)
    await becomes(hal, room, ida.user_id, "invite")

    assert set(await invited(ida)) == {room}
    assert (await ida.try_act(room, "leave")) == (200, {})
    await becomes(tess, room, ida.user_id, "leave")


async def test_an_account_that_is_gone_leaves_invitations_of_others_behind(hal, tess, room):
    auth = {"type": "m.login.password", "password": "correct horse battery staple"}
    auth["identifier"] = {"type": "m.id.user", "user": hal.user_id}
    await hal.ask("POST", "/account/deactivate", {"auth": auth})

    await becomes(tess, room, hal.user_id, "leave")
    assert (await tess.try_act(room, "invite", user_id=hal.user_id))[0] == 403
