"""Knocks on rooms of other servers, and what comes of them: as both clients see it."""

from urllib.parse import quote

import pytest

from tests.doubles.federated_servers import until

VERSIONS = ("7", "10", "12")


async def knock(user, room_id, **body):
    return await user.try_("POST", f"/knock/{quote(room_id)}?via=there.example", body)


async def knocking(user, since=""):
    query = f"?since={since}" if since else ""
    rooms = (await user.get(f"/sync{query}")).get("rooms", {}).get("knock", {})
    return {
        room_id: {(one["type"], one["state_key"]): one for one in room["knock_state"]["events"]}
        for room_id, room in rooms.items()
    }


async def membership(user, room_id, user_id):
    status, content = await user.try_(
        "GET", f"/rooms/{quote(room_id)}/state/m.room.member/{quote(user_id)}"
    )
    return content["membership"] if status == 200 else None


def knockable(version="12"):
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    return {"room_version": version, "name": "Over there", "initial_state": [rule]}


@pytest.fixture
async def room(tess):
    return await tess.create(**knockable())


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_knock_is_heard_there_and_told_here(hal, tess, version):
    room = await tess.create(**knockable(version))
    since = (await hal.get("/sync"))["next_batch"]

    assert await knock(hal, room, reason="let me in") == (200, {"room_id": room})
    assert await membership(tess, room, hal.user_id) == "knock"
    for told in (await knocking(hal), await knocking(hal, since)):
        state = told[room]
        assert state["m.room.name", ""]["content"] == {"name": "Over there"}
        assert state["m.room.member", hal.user_id]["content"]["reason"] == "let me in"


async def test_who_knocks_is_let_in(hal, tess, room):
    await knock(hal, room)
    await tess.act(room, "invite", user_id=hal.user_id)

    synced = (await hal.get("/sync"))["rooms"]
    assert list(synced["invite"]) == [room]
    assert not synced.get("knock")
    assert (await hal.try_act(room, "join"))[0] == 200


async def test_who_knocks_is_turned_away(hal, tess, room):
    await knock(hal, room)
    await tess.act(room, "kick", user_id=hal.user_id)

    async def is_told():
        return await knocking(hal) == {}

    await until(is_told)
    assert (await knock(hal, room))[0] == 200


async def test_a_knock_is_taken_back(hal, tess, wire, room):
    await knock(hal, room)
    await hal.act(room, "leave")

    assert await knocking(hal) == {}
    assert wire.paths("send_leave") == [("here.example", "there.example")]
    assert await membership(tess, room, hal.user_id) == "leave"


async def test_who_knocks_already_knocks_no_second_time(hal, wire, room):
    await knock(hal, room)

    assert await knock(hal, room) == (200, {"room_id": room})
    assert len(wire.paths("send_knock")) == 1


async def test_nobody_knocks_on_a_room_that_lets_nobody_knock(hal, tess):
    room = await tess.create(preset="private_chat")

    assert await knock(hal, room) == (403, "M_FORBIDDEN")
    assert await knocking(hal) == {}


async def test_nobody_knocks_where_nobody_answers(hal, wire, room):
    wire.cut.add(("here.example", "there.example"))

    assert (await knock(hal, room))[0] == 503
    assert (await hal.try_("POST", f"/knock/{quote(room)}", {}))[0] == 404
