"""Joins of rooms on other servers, by their clients: two whole servers without a wire."""

import asyncio
from urllib.parse import quote

import pytest

from tests.doubles.federated_servers import WireClient, until

VERSIONS = ("1", "6", "10", "11", "12")
JOINED = "/_matrix/federation/v2/send_join/"


async def join(user, room, *via):
    query = "&".join(f"via={one}" for one in via or ("there.example",))
    return await user.try_("POST", f"/join/{quote(room)}?{query}", {})


async def members(user, room_id):
    found = await user.get(f"/rooms/{quote(room_id)}/joined_members")
    return sorted(found["joined"])


async def set_state(user, room_id, event_type, content, state_key=""):
    path = f"/rooms/{quote(room_id)}/state/{event_type}/{quote(state_key)}"
    return (await user.ask("PUT", path, content))["event_id"]


@pytest.fixture
async def room(tess):
    return await tess.create(preset="public_chat", name="Over there")


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_room_is_joined_and_both_sides_see_it(hal, tess, version):
    room = await tess.create(preset="public_chat", room_version=version, name="Over there")
    assert await join(hal, room) == (200, {"room_id": room})

    assert await members(hal, room) == await members(tess, room) == [hal.user_id, tess.user_id]
    name = await hal.get(f"/rooms/{quote(room)}/state/m.room.name")
    assert name == {"name": "Over there"}


async def test_who_joins_is_told_the_whole_room_at_first_and_later(hal, tess, room):
    since = (await hal.get("/sync"))["next_batch"]
    await join(hal, room)

    for path in ("/sync", f"/sync?since={since}"):
        told = (await hal.get(path))["rooms"]["join"][room]
        state = {(one["type"], one["state_key"]) for one in told["state"]["events"]}
        assert {("m.room.create", ""), ("m.room.name", ""), ("m.room.member", tess.user_id)} <= state
        assert [one.get("state_key") for one in told["timeline"]["events"]] == [hal.user_id]


async def test_of_the_members_who_are_loaded_lazily_only_those_are_told_who_spoke(hal, tess, there, room):
    for name in ("uma", "vic", "wes", "xia", "yul", "zoe"):
        user = await there.user(name)
        await join(user, room)
    await join(hal, room)

    told = (await hal.get('/sync?filter={"room":{"state":{"lazy_load_members":true}}}'))["rooms"]["join"]
    named = {one["state_key"] for one in told[room]["state"]["events"] if one["type"] == "m.room.member"}
    assert 0 < len(named) < 7
    assert told[room]["summary"]["m.joined_member_count"] == 8


async def test_a_message_is_sent_to_the_joined_room_by_both(hal, tess, room):
    await join(hal, room)
    await hal.send(room, "from here")

    said = (await hal.get(f"/rooms/{quote(room)}/messages?dir=b&limit=1"))["chunk"]
    assert said[0]["content"]["body"] == "from here"


async def test_a_room_is_joined_by_its_alias(hal, tess):
    room = await tess.create(preset="public_chat", room_alias_name="over")

    status, answer = await hal.try_("POST", f"/join/{quote('#over:there.example')}", {})
    assert (status, answer) == (200, {"room_id": room})
    assert (await hal.try_("POST", f"/join/{quote('#none:there.example')}", {}))[0] == 404


async def test_servers_that_do_not_help_are_passed_over(hal, wire, room):
    status, _ = await join(hal, room, "nowhere.example", "not a name", "there.example")

    assert status == 200
    assert wire.paths("make_join") == [("here.example", "there.example")]


async def test_nobody_who_is_asked_is_in_the_room(hal, there, room):
    assert (await join(hal, room, "nowhere.example"))[0] == 503
    assert await join(hal, "!nothing:there.example") == (404, "M_NOT_FOUND")
    assert await hal.try_("POST", f"/join/{quote('!nothing')}", {}) == (404, "M_NOT_FOUND")


async def test_a_room_that_needs_an_invitation_is_not_joined(hal, tess):
    room = await tess.create(preset="private_chat")

    assert await join(hal, room) == (403, "M_FORBIDDEN")
    assert (await hal.get("/joined_rooms"))["joined_rooms"] == []


async def test_who_is_banned_is_not_let_in(hal, tess, room):
    await tess.act(room, "ban", user_id=hal.user_id)

    assert await join(hal, room) == (403, "M_FORBIDDEN")


async def test_a_room_for_one_server_only_is_not_joined(hal, tess):
    room = await tess.create(preset="public_chat", creation_content={"m.federate": False})

    assert await join(hal, room) == (403, "M_FORBIDDEN")


async def test_the_second_of_ours_comes_in_by_ourselves(here, hal, wire, room):
    await join(hal, room)
    ida = await here.user("ida")

    assert (await ida.try_("POST", f"/join/{quote(room)}", {}))[0] == 200
    assert len(wire.paths(JOINED)) == 1


async def test_two_of_ours_at_once_bring_the_room_here_once(here, hal, wire, room):
    ida = await here.user("ida")
    results = await asyncio.gather(join(hal, room), join(ida, room))

    assert [status for status, _ in results] == [200, 200]
    assert len(wire.paths(JOINED)) == 1
    assert {hal.user_id, ida.user_id} <= set(await members(hal, room))


async def test_a_join_that_is_asked_for_twice_is_made_once(hal, wire, room):
    results = await asyncio.gather(*[join(hal, room) for _ in range(3)])

    assert [status for status, _ in results] == [200] * 3
    assert len(wire.paths(JOINED)) == 1


async def test_a_join_goes_on_when_the_client_goes_away(hal, wire, room):
    reached, goes_on = asyncio.Event(), asyncio.Event()

    async def hold(origin, to, method, path):
        if "send_join" in path:
            reached.set()
            await goes_on.wait()

    wire.before = hold
    asking = asyncio.ensure_future(join(hal, room))
    await reached.wait()
    asking.cancel()
    await asyncio.wait([asking])
    goes_on.set()

    assert (await join(hal, room))[0] == 200
    assert len(wire.paths(JOINED)) == 1


async def test_a_join_goes_on_after_a_restart(here, hal, wire, room):
    reached = asyncio.Event()

    async def hold(origin, to, method, path):
        if "send_join" in path:
            reached.set()
            await asyncio.Event().wait()

    wire.before = hold
    asking = asyncio.ensure_future(join(hal, room))
    await reached.wait()
    asking.cancel()
    await asyncio.wait([asking])
    await here.close()
    wire.before = None
    await here.start()

    async def is_in():
        return (await hal.get("/joined_rooms"))["joined_rooms"] == [room]

    await until(is_in)
    assert await here.database.fetch("SELECT 1 FROM pending_joins") == []


async def test_a_join_that_ends_the_server_each_time_is_given_up(here, hal, wire, room):
    await here.database.execute(
        "INSERT INTO pending_joins VALUES (%b, %b, %b, %b, %b)",
        room, hal.user_id, ["there.example"], b'{"membership":"join"}', 3,
    )  # fmt: skip
    await here.restart()

    assert await here.database.fetch("SELECT 1 FROM pending_joins") == []
    assert (await hal.get("/joined_rooms"))["joined_rooms"] == []


async def test_a_join_whose_answer_was_lost_can_be_repeated(hal, tess, wire, there, room, monkeypatch):
    respond = there.dispatcher.respond

    async def lose(raw):
        answer = await respond(raw)
        wire.servers.pop("there.example", None)
        return type(answer)(502, b"{}")

    monkeypatch.setattr(there.dispatcher, "respond", lose)
    monkeypatch.setattr(wire, "before", None)
    assert (await join(hal, room))[0] == 503
    monkeypatch.setattr(there.dispatcher, "respond", respond)
    wire.servers["there.example"] = there

    assert (await join(hal, room))[0] == 200
    assert await members(hal, room) == [hal.user_id, tess.user_id]


async def test_what_is_said_while_the_room_is_on_its_way_here_is_not_lost(hal, tess, wire, room, monkeypatch):
    request = WireClient.request

    async def slow(self, destination, method, path, **options):
        answer = await request(self, destination, method, path, **options)
        if "send_join" in path:
            event_id = await tess.send(room, "welcome")

            async def was_sent():
                return any("/send/" in path for *_, path in wire.asked)

            await until(was_sent)
            said.append(event_id)
        return answer

    said = []
    monkeypatch.setattr(WireClient, "request", slow)
    await join(hal, room)

    async def is_here():
        found = (await hal.get(f"/rooms/{quote(room)}/messages?dir=b&limit=3"))["chunk"]
        return said[0] in [one["event_id"] for one in found]

    await until(is_here)


async def test_a_room_that_all_of_ours_left_is_joined_anew_as_it_is_by_then(hal, tess, wire, room):
    await join(hal, room)
    await hal.act(room, "leave")
    wire.cut.add(("there.example", "here.example"))
    await set_state(tess, room, "m.room.name", {"name": "Later"})
    wire.cut.clear()
    wire.asked.clear()

    assert (await hal.try_("POST", f"/join/{quote(room)}", {}))[0] == 200
    assert len(wire.paths(JOINED)) == 1
    assert await hal.get(f"/rooms/{quote(room)}/state/m.room.name") == {"name": "Later"}
    assert await members(hal, room) == [hal.user_id, tess.user_id]


async def test_a_restricted_room_is_joined_on_the_authority_of_the_other_server(hal, tess):
    space = await tess.create(preset="public_chat")
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room = await tess.create(initial_state=[{"type": "m.room.join_rules", "content": rule}])
    assert await join(hal, room) == (403, "M_FORBIDDEN")

    await join(hal, space)
    assert (await join(hal, room))[0] == 200
    own = await hal.get(f"/rooms/{quote(room)}/state/m.room.member/{quote(hal.user_id)}")
    assert own["join_authorised_via_users_server"] == tess.user_id


async def test_where_nobody_of_ours_may_vouch_somebody_elsewhere_does(here, hal, tess, wire):
    space = await tess.create(preset="public_chat")
    rule = {"join_rule": "restricted", "allow": [{"type": "m.room_membership", "room_id": space}]}
    room = await tess.create(
        initial_state=[{"type": "m.room.join_rules", "content": rule}],
        power_level_content_override={"invite": 50},
    )
    ida = await here.user("ida")
    for user in (hal, ida):
        await join(user, space)
    await join(hal, room)

    async def is_known_there():
        return ida.user_id in await members(tess, space)

    await until(is_known_there)
    wire.asked.clear()

    assert (await join(ida, room))[0] == 200
    assert len(wire.paths("send_join")) == 1
    assert ida.user_id in await members(ida, room)


async def test_the_only_one_of_ours_is_thrown_out_and_comes_back(hal, tess, room):
    await join(hal, room)
    for action, undone in (("kick", None), ("ban", "unban")):
        since = (await hal.get("/sync"))["next_batch"]
        await tess.act(room, action, user_id=hal.user_id)

        async def is_out():
            return (await hal.get("/joined_rooms"))["joined_rooms"] == []

        await until(is_out)
        left = (await hal.get(f"/sync?since={since}"))["rooms"]["leave"][room]
        assert left["timeline"]["events"][-1]["sender"] == tess.user_id
        if undone is not None:
            assert await join(hal, room) == (403, "M_FORBIDDEN")
            await tess.act(room, undone, user_id=hal.user_id)
        assert (await join(hal, room))[0] == 200
    assert await members(hal, room) == await members(tess, room) == [hal.user_id, tess.user_id]


async def test_a_room_is_left_and_nothing_of_it_is_told_any_more(hal, tess, wire, room):
    await join(hal, room)
    since = (await hal.get("/sync"))["next_batch"]
    await hal.act(room, "leave")

    async def has_left():
        return await members(tess, room) == [tess.user_id]

    await until(has_left)
    told = (await hal.get(f"/sync?since={since}"))["rooms"]
    assert list(told["leave"]) == [room]
    assert await hal.try_send(room) == (403, "M_FORBIDDEN")
