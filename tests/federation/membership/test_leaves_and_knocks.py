"""`make_leave`, `send_leave`, `make_knock` and `send_knock`, as servers may ask for them."""

from urllib.parse import quote

import pytest

from homeserver.core.event.builder import complete_template
from homeserver.core.room_versions import rules_for

V1, V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"


async def sketch(asking, other, change, room_id, user_id, **query):
    path = f"{V1}/make_{change}/{quote(room_id)}/{quote(user_id)}"
    return await asking.asks(other, "GET", path, **query)


def completed(server, user_id, answer):
    template = answer["event"]
    return complete_template(
        template, rules=rules_for(answer["room_version"]), room_id=template["room_id"], user_id=user_id,
        content=template["content"], origin_server_ts=1_790_000_000_000, server_name=server.name,
        signing_key=server.services.rooms.registry.composer._signing_key,
    )  # fmt: skip


async def send(asking, other, change, event, version=V1, pdu=None):
    path = f"{version}/send_{change}/{quote(event.room_id)}/{quote(event.event_id)}"
    return await asking.asks(other, "PUT", path, pdu or event.pdu)


async def membership(user, room_id, user_id):
    status, content = await user.try_(
        "GET", f"/rooms/{quote(room_id)}/state/m.room.member/{quote(user_id)}"
    )
    return content["membership"] if status == 200 else None


@pytest.fixture
async def room(tess, hal):
    room_id = await tess.create()
    await tess.act(room_id, "invite", user_id=hal.user_id)
    return room_id


@pytest.fixture
async def knockable(tess):
    rule = {"type": "m.room.join_rules", "content": {"join_rule": "knock"}}
    return await tess.create(name="Over there", initial_state=[rule])


@pytest.mark.parametrize(("version", "answer"), [(V1, [200, {}]), (V2, {})])
async def test_an_invitation_is_refused_in_both_ways(here, there, hal, tess, room, version, answer):
    event = completed(here, hal.user_id, await sketch(here, there, "leave", room, hal.user_id))

    assert await send(here, there, "leave", event, version) == answer
    assert await membership(tess, room, hal.user_id) == "leave"
    assert await send(here, there, "leave", event, version) == answer


async def test_who_is_not_there_does_not_leave(here, there, hal, tess, room):
    assert await sketch(here, there, "leave", room, "@ida:here.example") == (403, "M_FORBIDDEN")
    assert await sketch(here, there, "leave", room, tess.user_id) == (403, "M_FORBIDDEN")
    assert await sketch(here, there, "leave", "!x:there.example", hal.user_id) == (404, "M_NOT_FOUND")


async def test_what_is_no_leave_is_refused(here, there, hal, room):
    event = completed(here, hal.user_id, await sketch(here, there, "leave", room, hal.user_id))
    joining = {**event.pdu, "content": {"membership": "join"}}

    assert await send(here, there, "leave", event, pdu=joining) == (400, "M_INVALID_PARAM")
    assert await send(here, there, "knock", event) == (400, "M_INVALID_PARAM")


async def test_who_knocks_is_told_of_the_room(here, there, hal, tess, knockable):
    answer = await sketch(here, there, "knock", knockable, hal.user_id, ver=["11", "12"])
    event = completed(here, hal.user_id, answer)
    told = (await send(here, there, "knock", event))["knock_room_state"]

    assert {"m.room.create", "m.room.name", "m.room.join_rules"} <= {one["type"] for one in told}
    assert all({"signatures", "hashes", "depth"} <= one.keys() for one in told)
    assert await membership(tess, knockable, hal.user_id) == "knock"


async def test_nobody_knocks_where_that_is_not_done(here, there, hal, room, knockable):
    assert await sketch(here, there, "knock", room, "@ida:here.example", ver="12") == (403, "M_FORBIDDEN")
    assert await sketch(here, there, "knock", knockable, hal.user_id, ver="6") == (
        400, "M_INCOMPATIBLE_ROOM_VERSION",
    )  # fmt: skip
    assert await sketch(here, there, "knock", knockable, hal.user_id) == (
        400, "M_INCOMPATIBLE_ROOM_VERSION",
    )  # fmt: skip
