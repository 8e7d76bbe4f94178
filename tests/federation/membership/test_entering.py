"""`make_join` and `send_join`, as a server may ask for them that is not as it should be."""

from urllib.parse import quote

import pytest

from homeserver.core.event.builder import complete_template
from homeserver.core.room_versions import rules_for
from homeserver.core.signing import SigningKey

MAKE, SEND = "/_matrix/federation/v1/make_join", "/_matrix/federation/v2/send_join"
SEND_V1 = "/_matrix/federation/v1/send_join"
OTHER_KEY = SigningKey.generate(bytes(32), "a_other")


def key_of(server):
    return server.services.rooms.registry.composer._signing_key


def completed(server, user_id, answer, *, key=None, **content):
    """Make the event of a sketch."""
    template, rules = answer["event"], rules_for(answer["room_version"])
    return complete_template(
        template, rules=rules, room_id=template["room_id"], user_id=user_id,
        content={**template["content"], **content}, origin_server_ts=1_790_000_000_000,
        server_name=server.name, signing_key=key or key_of(server),
    )  # fmt: skip


async def sketch(asking, other, room_id, user_id, version="12"):
    return await asking.asks(other, "GET", f"{MAKE}/{quote(room_id)}/{quote(user_id)}", ver=version)


async def send(asking, other, event, pdu=None, *, path=SEND, **query):
    target = f"{path}/{quote(event.room_id)}/{quote(event.event_id)}"
    return await asking.asks(other, "PUT", target, event.pdu if pdu is None else pdu, **query)


@pytest.fixture
async def room(tess):
    return await tess.create(preset="public_chat", name="Over there")


@pytest.fixture
async def event(here, there, hal, room):
    return completed(here, hal.user_id, await sketch(here, there, room, hal.user_id))


async def test_the_sketch_is_signed_by_nobody(here, there, hal, room):
    answer = await sketch(here, there, room, hal.user_id)

    assert answer["room_version"] == "12"
    assert answer["event"]["content"] == {"membership": "join"}
    assert answer["event"]["state_key"] == answer["event"]["sender"] == hal.user_id
    assert not answer["event"].keys() & {"signatures", "hashes", "event_id"}


async def test_a_server_that_does_not_know_the_version_is_told_which_it_is(here, there, hal, room):
    assert await sketch(here, there, room, hal.user_id, "11") == (400, "M_INCOMPATIBLE_ROOM_VERSION")


@pytest.mark.parametrize(
    ("user_id", "status"),
    [("@tess:there.example", 403), ("@x:elsewhere.example", 403), ("hal", 400)],
)
async def test_a_server_speaks_for_its_own_users_only(here, there, room, user_id, status):
    assert (await sketch(here, there, room, user_id))[0] == status


async def test_a_room_that_is_not_here_is_not_found(here, there, hal):
    assert await sketch(here, there, "!nothing:there.example", hal.user_id) == (404, "M_NOT_FOUND")


async def test_a_room_that_nobody_is_in_any_more_is_not_entered_by_way_of_us(here, there, hal, tess):
    room = await hal.create(preset="public_chat")
    await tess.try_("POST", f"/join/{quote(room)}?via=here.example", {})
    await tess.act(room, "leave")

    assert await sketch(here, there, room, "@ida:here.example") == (404, "M_NOT_FOUND")


async def test_the_access_control_list_keeps_a_server_out(here, there, hal, tess, room, event):
    acl = {"allow": ["*"], "deny": ["here.example"]}
    await tess.ask("PUT", f"/rooms/{quote(room)}/state/m.room.server_acl/", acl)

    assert await sketch(here, there, room, hal.user_id) == (403, "M_FORBIDDEN")
    assert await send(here, there, event) == (403, "M_FORBIDDEN")


async def test_who_is_let_in_is_told_the_state_before_and_what_allows_it(here, there, hal, tess, event):
    answer = await send(here, there, event)

    types = {one["type"] for one in answer["state"]}
    assert {"m.room.create", "m.room.name", "m.room.member"} <= types
    assert all(one.get("state_key") != hal.user_id for one in answer["state"])
    assert {one["type"] for one in answer["auth_chain"]} >= {"m.room.power_levels", "m.room.member"}
    assert answer["members_omitted"] is False
    assert answer["event"]["signatures"] == event.pdu["signatures"]


async def test_members_are_omitted_where_that_is_asked_for(here, there, hal, tess, event):
    answer = await send(here, there, event, omit_members="true")

    assert answer["members_omitted"] is True
    assert answer["servers_in_room"] == ["there.example"]
    assert "m.room.member" not in {one["type"] for one in answer["state"]}
    chained = [one for one in answer["auth_chain"] if one["type"] == "m.room.member"]
    assert [one["sender"] for one in chained] == [tess.user_id]
    assert not {one["type"] for one in answer["auth_chain"]} & {one["type"] for one in answer["state"]}


async def test_an_older_server_is_told_the_same_in_an_array(here, there, event):
    status, answer = await send(here, there, event, path=SEND_V1)

    assert status == 200
    assert {"state", "auth_chain", "event"} <= answer.keys()


async def test_the_same_event_may_come_again(here, there, event):
    first = await send(here, there, event)

    assert await send(here, there, event) == first


async def test_who_was_let_in_is_told_to_the_others(here, there, hal, tess, event, room):
    await send(here, there, event)

    own = await tess.get(f"/rooms/{quote(room)}/state/m.room.member/{quote(hal.user_id)}")
    assert own["membership"] == "join"
    stored = await there.database.fetch_one(
        "SELECT flags FROM events WHERE event_id = %b AND retention_class = 0", event.event_id
    )
    assert stored[0] & 128


async def test_what_is_signed_by_somebody_else_is_refused(here, there, hal, room):
    answer = await sketch(here, there, room, hal.user_id)
    event = completed(here, hal.user_id, answer, key=OTHER_KEY)

    assert await send(here, there, event) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "m.room.message"},
        {"state_key": "@ida:here.example"},
        {"content": {"membership": "leave"}},
        {"content": {"membership": ["join"]}},
        {"room_id": "!other:there.example"},
        {"prev_events": "none"},
        {"depth": "deep"},
        {"depth": 7},
        {"sender": 1},
        {"hashes": {}},
    ],
)
async def test_what_is_no_join_of_its_sender_is_refused(here, there, event, changes):
    assert await send(here, there, event, {**event.pdu, **changes}) == (400, "M_INVALID_PARAM")


async def test_a_join_that_the_room_does_not_allow_is_refused(here, there, hal, tess, room, event):
    await tess.act(room, "ban", user_id=hal.user_id)

    assert await send(here, there, event) == (403, "M_FORBIDDEN")
    assert await send(here, there, event) == (403, "M_FORBIDDEN")


async def test_we_vouch_only_for_who_may_come_in(here, there, hal, tess):
    space = await tess.create(preset="public_chat")
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room = await tess.create(initial_state=[{"type": "m.room.join_rules", "content": rule}])
    await tess.ask("PUT", f"/rooms/{quote(room)}/state/m.room.join_rules/", {"join_rule": "public"})
    answer = await sketch(here, there, room, hal.user_id)
    await tess.ask("PUT", f"/rooms/{quote(room)}/state/m.room.join_rules/", rule)
    event = completed(here, hal.user_id, answer, join_authorised_via_users_server=tess.user_id)

    assert await send(here, there, event) == (403, "M_FORBIDDEN")


async def test_a_rule_that_rests_on_a_room_we_do_not_know_is_left_to_others(here, there, hal, tess):
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": "!x:far.example"}]}
    room = await tess.create(initial_state=[{"type": "m.room.join_rules", "content": rule}])

    assert await sketch(here, there, room, hal.user_id) == (400, "M_UNABLE_TO_AUTHORISE_JOIN")


async def test_where_nobody_may_invite_another_server_has_to_vouch(here, there, hal, tess):
    space = await tess.create(preset="public_chat")
    await hal.try_("POST", f"/join/{quote(space)}?via=there.example", {})
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    uma = await there.user("uma")
    room = await tess.create(
        room_version="11", invite=[uma.user_id],
        initial_state=[{"type": "m.room.join_rules", "content": rule}],
        power_level_content_override={"invite": 50},
    )  # fmt: skip
    await uma.act(room, "join")
    await tess.act(room, "leave")

    assert await sketch(here, there, room, hal.user_id, "11") == (400, "M_UNABLE_TO_GRANT_JOIN")
