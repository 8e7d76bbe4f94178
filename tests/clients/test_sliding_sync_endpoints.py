"""Sliding sync on a whole server: a real database, rooms as clients make them, and requests of all kinds."""

import asyncio
from urllib.parse import quote

import pytest

PATH = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ELEMENT_STATE = [
    ["m.room.name", ""], ["m.room.encryption", ""], ["m.room.member", "$LAZY"], ["m.room.member", "$ME"],
    ["m.room.topic", ""], ["m.room.create", ""], ["m.space.child", "*"],
]  # fmt: skip
EXTENSIONS = {name: {"enabled": True} for name in ("account_data", "receipts", "typing", "to_device", "e2ee")}


def room_list(**options):
    asked = {"ranges": [[0, 19]], "timeline_limit": 20, "required_state": ELEMENT_STATE, **options}
    return {"conn_id": "room-list", "lists": {"all_rooms": asked}, "extensions": EXTENSIONS}


async def sliding(user, body=None, pos=None, timeout_ms=0):
    path = f"{PATH}?timeout={timeout_ms}" + ("" if pos is None else f"&pos={quote(pos)}")
    status, answer = await user.server.call("POST", path, body or room_list(), token=user.token)
    assert status == 200, answer
    return answer


async def refused(user, body, query=""):
    status, answer = await user.server.call("POST", PATH + query, body, token=user.token)
    return status, answer["errcode"]


def texts(entry):
    return [each["content"]["body"] for each in entry["timeline"] if each["type"] == "m.room.message"]


def keys(entry):
    return {(event["type"], event["state_key"]) for event in entry.get("required_state", [])}


async def test_the_server_says_that_it_has_sliding_sync(rooms_server):
    _, answer = await rooms_server.call("GET", "/_matrix/client/versions")
    assert answer["unstable_features"]["org.matrix.simplified_msc3575"] is True


async def test_rooms_as_they_are_and_as_they_go_on(alice, bob):
    room_id = await alice.create(preset="public_chat", name="Tea", topic="Biscuits")
    await bob.act(room_id, "join")
    for number in range(3):
        await alice.send(room_id, str(number))

    first = await sliding(bob, room_list(timeline_limit=2))
    entry = first["rooms"][room_id]
    assert (entry["initial"], entry["limited"], entry["num_live"]) == (True, True, 0)
    assert (entry["name"], entry["joined_count"]) == ("Tea", 2)
    assert texts(entry) == ["1", "2"]
    assert keys(entry) == {
        ("m.room.name", ""), ("m.room.topic", ""), ("m.room.create", ""),
        ("m.room.member", alice.user_id), ("m.room.member", bob.user_id),
    }  # fmt: skip
    older = await bob.messages(room_id, f"dir=b&limit=1&from={entry['prev_batch']}")
    assert older["chunk"][0]["content"]["body"] == "0"

    sent = await bob.send(room_id, "mine", transaction_id="t-mine")
    second = await sliding(bob, room_list(timeline_limit=2), first["pos"])
    (event,) = second["rooms"][room_id]["timeline"]
    assert (event["event_id"], event["unsigned"]["transaction_id"]) == (sent, "t-mine")
    assert second["rooms"][room_id]["bump_stamp"] > entry["bump_stamp"]


async def test_the_whole_state_and_state_of_other_shapes(alice):
    room_id = await alice.create()
    await alice.set_state(room_id, "org.example.thing", {"a": 1}, "x")
    every = await alice.all_state(room_id)
    for required, expected in (
        ([["*", "*"]], set(every)),
        ([["*", "x"]], {("org.example.thing", "x")}),
        ([["org.example.thing", "*"]], {("org.example.thing", "x")}),
        ([["m.room.member", "*"]], {("m.room.member", alice.user_id)}),
        ([], set()),
    ):
        answer = await sliding(alice, room_list(required_state=required))
        assert keys(answer["rooms"][room_id]) == expected


async def test_an_invite_a_joining_and_a_leaving(alice, bob):
    first = await sliding(bob)
    room_id = await alice.create(name="Come in", invite=[bob.user_id])
    await alice.send(room_id, "before")
    second = await sliding(bob, pos=first["pos"])
    stripped = second["rooms"][room_id]["invite_state"]
    assert {"m.room.create", "m.room.name", "m.room.member"} <= {event["type"] for event in stripped}
    assert "timeline" not in second["rooms"][room_id]

    await bob.act(room_id, "join")
    third = await sliding(bob, pos=second["pos"])
    assert third["rooms"][room_id]["initial"] is True
    assert third["rooms"][room_id]["name"] == "Come in"

    await bob.act(room_id, "leave")
    await alice.send(room_id, "behind")
    fourth = await sliding(bob, pos=third["pos"])
    assert fourth["rooms"][room_id]["timeline"][-1]["content"]["membership"] == "leave"
    assert "behind" not in texts(fourth["rooms"][room_id])
    fifth = await sliding(bob, pos=fourth["pos"])
    assert (fifth["rooms"], fifth["lists"]["all_rooms"]["count"]) == ({}, 0)


async def test_kicks_bans_and_knocks(alice, bob):
    kicked = await alice.create(preset="public_chat")
    banned = await alice.create(preset="public_chat")
    knocked = await alice.create(
        initial_state=[{"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}]
    )
    for room_id in (kicked, banned):
        await bob.act(room_id, "join")
    await alice.act(kicked, "kick", user_id=bob.user_id)
    await alice.act(banned, "ban", user_id=bob.user_id)
    await alice.send(kicked, "behind")
    await bob.ask("POST", f"/knock/{quote(knocked)}", {})

    rooms = (await sliding(bob))["rooms"]
    assert set(rooms) == {kicked, banned, knocked}
    assert texts(rooms[kicked]) == []
    assert rooms[banned]["timeline"][-1]["content"]["membership"] == "ban"
    own = [event for event in rooms[knocked]["invite_state"] if event["type"] == "m.room.member"]
    assert own[-1]["content"]["membership"] == "knock"


async def test_filters_read_what_is_stored(alice, bob):
    secret = await alice.create(
        initial_state=[
            {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        ]
    )
    space = await alice.create(creation_content={"type": "m.space"})
    plain = await alice.create(name="Plain")
    await alice.set_state(space, "m.space.child", {"via": ["localhost"]}, plain)
    await alice.ask("PUT", f"/user/{alice.user_id}/account_data/m.direct", {bob.user_id: [plain]})
    await alice.ask("PUT", f"/user/{alice.user_id}/rooms/{quote(secret)}/tags/u.work", {"order": 0.5})
    for filters, expected in (
        ({"is_encrypted": True}, {secret}),
        ({"room_types": ["m.space"]}, {space}),
        ({"not_room_types": ["m.space"]}, {secret, plain}),
        ({"is_dm": True}, {plain}),
        ({"tags": ["u.work"]}, {secret}),
        ({"spaces": [space]}, {plain}),
        ({"room_name_like": "plai"}, {plain}),
    ):
        answer = await sliding(alice, room_list(filters=filters))
        assert set(answer["rooms"]) == expected
        assert answer["lists"]["all_rooms"]["count"] == len(expected)


async def test_windows_follow_activity_also_after_a_restart(rooms_server, alice):
    rooms = [await alice.create() for _ in range(4)]
    await alice.send(rooms[1])
    for _ in range(2):
        answer = await sliding(alice, room_list(ranges=[[0, 1]]))
        assert list(answer["rooms"]) == [rooms[1], rooms[3]]
        await rooms_server.restart()
        gone_on = await sliding(alice, room_list(ranges=[[0, 1]]), pos=answer["pos"])
        assert not gone_on["rooms"]


async def test_receipts_typing_and_account_data_reach_a_poll(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    said = await alice.send(room_id)
    first = await sliding(alice)
    read = f"receipt/m.read/{quote(said, safe='')}"
    typing = f"/rooms/{quote(room_id)}/typing/{quote(bob.user_id)}"
    data = f"/user/{alice.user_id}/account_data/org.example.a"
    for act, name in (
        (lambda: bob.act(room_id, read), "receipts"),
        (lambda: bob.ask("PUT", typing, {"typing": True, "timeout": 30_000}), "typing"),
        (lambda: alice.ask("PUT", data, {"n": 1}), "account_data"),
    ):
        waiting = asyncio.ensure_future(sliding(alice, pos=first["pos"], timeout_ms=30_000))
        await asyncio.sleep(0)
        await act()
        first = await waiting
        told = first["extensions"][name]
        assert room_id in told["rooms"] or told["global"] == [{"type": "org.example.a", "content": {"n": 1}}]
    fresh = await sliding(alice)
    assert bob.user_id in fresh["extensions"]["receipts"]["rooms"][room_id]["content"][said]["m.read"]


async def test_what_was_redacted_is_told_so(alice):
    room_id = await alice.create()
    first = await sliding(alice)
    said = await alice.send(room_id, "regrettable")
    await alice.redact(room_id, said)
    entry = (await sliding(alice, pos=first["pos"]))["rooms"][room_id]
    assert [each["content"] for each in entry["timeline"] if each["event_id"] == said] == [{}]


@pytest.mark.parametrize(
    "body",
    [
        b"[]", b"nonsense", b'{"lists": []}', b'{"lists": {"a": {}}}',
        b'{"lists": {"a": {"timeline_limit": -1}}}',
        b'{"lists": {"a": {"timeline_limit": 1001}}}', b'{"lists": {"a": {"timeline_limit": "1"}}}',
        b'{"lists": {"a": {"timeline_limit": 1, "ranges": [[0]]}}}',
        b'{"lists": {"a": {"timeline_limit": 1, "ranges": [[-1, 5]]}}}',
        b'{"lists": {"a": {"timeline_limit": 1, "ranges": [[5, 1]]}}}',
        b'{"lists": {"a": {"timeline_limit": 1, "required_state": [["m.room.name"]]}}}',
        b'{"lists": {"a": {"timeline_limit": 1, "filters": {"is_dm": 1}}}}',
        b'{"room_subscriptions": {"!a:b": []}}', b'{"extensions": {"typing": {"enabled": 1}}}',
        b'{"conn_id": 1}', b'{"extensions": {"to_device": {"since": 5}}}',
    ],
)  # fmt: skip
async def test_what_has_no_form_is_refused(alice, body):
    status, errcode = await refused(alice, body)
    assert (status, errcode) in {(400, "M_BAD_JSON"), (400, "M_NOT_JSON"), (400, "M_INVALID_PARAM")}


async def test_a_query_that_has_no_form_is_refused(rooms_server, alice):
    assert await refused(alice, {}, "?timeout=-1") == (400, "M_INVALID_PARAM")
    assert await refused(alice, {}, "?set_presence=asleep") == (400, "M_INVALID_PARAM")
    assert await refused(alice, {}, "?pos=") == (400, "M_UNKNOWN_POS")
    assert await refused(alice, {}, "?pos=s1AAAA") == (400, "M_UNKNOWN_POS")
    status, answer = await rooms_server.call("POST", PATH, {})
    assert (status, answer["errcode"]) == (401, "M_MISSING_TOKEN")
    odd = {"lists": {"a": {"timeline_limit": 1, "filters": {"spaces": ["\0", "x"]}}},
           "room_subscriptions": {"\0": {"timeline_limit": 1}, "": {"timeline_limit": 1}}}  # fmt: skip
    assert (await sliding(alice, odd))["rooms"] == {}


async def test_required_state_with_what_no_event_can_have_is_simply_not_there(alice):
    room_id = await alice.create()
    odd = [["\0", ""], ["m.room.name", "\0"], ["", ""], ["\ud800".encode("utf-8", "replace").decode(), "*"]]
    assert keys((await sliding(alice, room_list(required_state=odd)))["rooms"][room_id]) == set()


async def test_who_polls_is_here_as_they_say(alice):
    status, _ = await alice.server.call(
        "POST", f"{PATH}?set_presence=unavailable", room_list(), token=alice.token
    )
    assert status == 200
    assert (await alice.get(f"/presence/{alice.user_id}/status"))["presence"] == "unavailable"
    await sliding(alice)
    assert (await alice.get(f"/presence/{alice.user_id}/status"))["presence"] == "online"
