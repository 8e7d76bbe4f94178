import asyncio
from urllib.parse import quote

import pytest

CREATE = "/createRoom"
JOIN_RULES, VISIBILITY, GUESTS = "m.room.join_rules", "m.room.history_visibility", "m.room.guest_access"
EMAIL = {"id_server": "id.example", "id_access_token": "t", "medium": "email", "address": "b@example.org"}
VERSIONS = [str(number) for number in range(1, 13)]


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({}, ("invite", "shared", "can_join")),
        ({"preset": "private_chat"}, ("invite", "shared", "can_join")),
        ({"preset": "trusted_private_chat"}, ("invite", "shared", "can_join")),
        ({"preset": "public_chat"}, ("public", "shared", "forbidden")),
        ({"visibility": "public"}, ("public", "shared", "forbidden")),
        ({"visibility": "public", "preset": "private_chat"}, ("invite", "shared", "can_join")),
    ],
)
async def test_a_preset_decides_who_gets_in_and_what_they_see(alice, wishes, expected):
    state = await alice.all_state(await alice.create(**wishes))

    assert state[JOIN_RULES, ""]["content"] == {"join_rule": expected[0]}
    assert state[VISIBILITY, ""]["content"] == {"history_visibility": expected[1]}
    assert state[GUESTS, ""]["content"] == {"guest_access": expected[2]}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_room_of_every_version_can_be_talked_in(alice, bob, version):
    room = await alice.create(room_version=version, preset="public_chat", name="Room")
    await bob.act(room, "join")
    await alice.send(room, "one")
    await bob.send(room, "two")

    state = await alice.all_state(room)
    create = state["m.room.create", ""]["content"]
    assert create["room_version"] == version
    assert create.get("creator") == (alice.user_id if int(version) <= 10 else None)
    assert await alice.texts(room, "dir=f&limit=100") == ["one", "two"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_room_survives_a_restart_in_every_version(rooms_server, alice, bob, version):
    room = await alice.create(room_version=version, preset="public_chat")
    await rooms_server.restart()
    await bob.act(room, "join")
    await bob.send(room, "hello again")

    assert await alice.texts(room) == ["hello again"]


async def test_a_room_is_of_the_default_version_and_named_by_its_create_event(alice):
    room = await alice.create()
    state = await alice.all_state(room)

    assert state["m.room.create", ""]["content"]["room_version"] == "12"
    assert room == "!" + state["m.room.create", ""]["event_id"][1:]
    assert all(event["room_id"] == room for event in state.values())


async def test_rooms_made_in_the_same_millisecond_are_different_rooms(rooms_server, alice, monkeypatch):
    now_ms = rooms_server.services.rooms.registry.composer.now_ms()
    clock = rooms_server.services.rooms.registry.composer._clock
    monkeypatch.setattr(type(clock), "now_ms", lambda self: now_ms)
    rooms = await asyncio.gather(*[alice.create() for _ in range(5)])

    assert len(set(rooms)) == 5
    assert sorted((await alice.get("/joined_rooms"))["joined_rooms"]) == sorted(rooms)


async def test_a_room_of_an_older_version_is_named_after_the_server(alice):
    assert (await alice.create(room_version="11")).endswith(":localhost")


async def test_the_creators_of_version_12_have_no_entry_in_the_power_levels(alice, bob):
    room = await alice.create(
        creation_content={"additional_creators": [bob.user_id, alice.user_id]}, invite=[bob.user_id]
    )
    await bob.act(room, "join")
    levels = await alice.state(room, "m.room.power_levels")
    create = await alice.state(room, "m.room.create")

    assert levels["users"] == {}
    assert levels["events"]["m.room.tombstone"] == 150
    assert create["additional_creators"] == [bob.user_id]
    await bob.set_state(room, "m.room.tombstone", {"body": "Moved"})


async def test_a_trusted_chat_makes_the_invited_creators_in_version_12(alice, bob):
    room = await alice.create(preset="trusted_private_chat", invite=[bob.user_id])

    assert (await alice.state(room, "m.room.create"))["additional_creators"] == [bob.user_id]


async def test_a_trusted_chat_gives_the_invited_the_creators_level_before_version_12(alice, bob):
    room = await alice.create(preset="trusted_private_chat", invite=[bob.user_id], room_version="11")

    levels = await alice.state(room, "m.room.power_levels")
    assert levels["users"] == {alice.user_id: 100, bob.user_id: 100}


async def test_name_and_topic_are_set(alice):
    room = await alice.create(name="Kitchen", topic="Food")
    topic = await alice.state(room, "m.room.topic")

    assert await alice.state(room, "m.room.name") == {"name": "Kitchen"}
    assert topic == {"topic": "Food", "m.topic": {"m.text": [{"body": "Food"}]}}


async def test_initial_state_overrides_the_preset_and_is_overridden_by_the_name(alice):
    initial = [
        {"type": JOIN_RULES, "state_key": "", "content": {"join_rule": "knock"}},
        {"type": "m.room.name", "content": {"name": "Never seen"}},
        {"type": "org.example", "state_key": "key", "content": {"a": 1}},
    ]
    room = await alice.create(preset="public_chat", initial_state=initial, name="Kitchen")

    assert await alice.state(room, JOIN_RULES) == {"join_rule": "knock"}
    assert await alice.state(room, "m.room.name") == {"name": "Kitchen"}
    assert await alice.state(room, "org.example", "key") == {"a": 1}


async def test_power_levels_and_creation_content_are_as_wished(alice, bob):
    room = await alice.create(
        room_version="11",
        power_level_content_override={"events_default": 50, "users": {alice.user_id: 100, bob.user_id: 50}},
        creation_content={"m.federate": False, "creator": bob.user_id, "room_version": "1", "org.x": 1},
    )
    levels = await alice.state(room, "m.room.power_levels")
    create = await alice.state(room, "m.room.create")

    assert levels["users"] == {alice.user_id: 100, bob.user_id: 50}
    assert (levels["events_default"], levels["state_default"]) == (50, 50)
    assert create == {"m.federate": False, "room_version": "11", "org.x": 1}


async def test_the_invited_are_told_whether_it_is_a_direct_chat(alice, bob):
    direct = await alice.create(invite=[bob.user_id, bob.user_id], is_direct=True)
    other = await alice.create(invite=[bob.user_id])
    member = await alice.state(direct, "m.room.member", bob.user_id)

    assert (member["membership"], member["is_direct"]) == ("invite", True)
    assert "is_direct" not in await alice.state(other, "m.room.member", bob.user_id)


async def test_the_alias_of_a_room_is_made_with_it(alice):
    room = await alice.create(room_alias_name="kitchen")
    found = await alice.get(f"/directory/room/{quote('#kitchen:localhost')}")

    assert found == {"room_id": room, "servers": ["localhost"]}
    assert await alice.state(room, "m.room.canonical_alias") == {"alias": "#kitchen:localhost"}


async def test_an_alias_is_free_again_when_its_room_could_not_be_made(alice):
    wishes = {"room_alias_name": "kitchen", "power_level_content_override": {"users": {alice.user_id: 0}}}
    status, errcode = await alice.try_("POST", CREATE, {**wishes, "room_version": "11", "name": "Kitchen"})

    assert (status, errcode) == (400, "M_INVALID_ROOM_STATE")
    assert (await alice.get("/joined_rooms"))["joined_rooms"] == []
    await alice.create(room_alias_name="kitchen")


async def test_an_alias_is_given_once(alice):
    await alice.create(room_alias_name="kitchen")

    assert await alice.try_("POST", CREATE, {"room_alias_name": "kitchen"}) == (400, "M_ROOM_IN_USE")


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        ({"room_version": "99"}, 400, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"room_version": 12}, 400, "M_BAD_JSON"),
        ({"preset": "nonsense"}, 400, "M_INVALID_PARAM"),
        ({"visibility": "secret"}, 400, "M_INVALID_PARAM"),
        ({"room_alias_name": "a:b"}, 400, "M_INVALID_PARAM"),
        ({"room_alias_name": "\0"}, 400, "M_INVALID_PARAM"),
        ({"invite": ["bob"]}, 400, "M_INVALID_PARAM"),
        ({"invite": ["@bob:elsewhere"]}, 403, "M_FORBIDDEN"),
        ({"invite": ["@bob:localhost"] * 201}, 400, "M_INVALID_PARAM"),
        ({"invite_3pid": [{"medium": "email"}]}, 400, "M_BAD_JSON"),
        ({"invite_3pid": [EMAIL]}, 400, "M_SERVER_NOT_TRUSTED"),
        ({"creation_content": {"additional_creators": "me"}}, 400, "M_INVALID_PARAM"),
        ({"creation_content": {"additional_creators": ["me"]}}, 400, "M_INVALID_PARAM"),
        ({"creation_content": {"n": 1.5}}, 400, "M_BAD_JSON"),
        ({"initial_state": [{"type": "m.room.member", "content": {}}]}, 400, "M_BAD_JSON"),
        ({"initial_state": [{"type": "m.room.create", "content": {}}]}, 400, "M_BAD_JSON"),
        ({"initial_state": [{"content": {}}]}, 400, "M_BAD_JSON"),
        ({"initial_state": [{"type": "org.x", "content": {"n": 0.5}}]}, 400, "M_BAD_JSON"),
        ({"power_level_content_override": {"users": {"bob": 1}}}, 400, "M_INVALID_ROOM_STATE"),
        ({"power_level_content_override": {"users": {"@alice:localhost": 100}}}, 400, "M_INVALID_ROOM_STATE"),
        ({"power_level_content_override": {"ban": "50"}}, 400, "M_INVALID_ROOM_STATE"),
        ({"topic": "x" * 70_000}, 413, "M_TOO_LARGE"),
    ],
)
async def test_wishes_that_cannot_be_granted_make_no_room(alice, body, status, errcode):
    assert await alice.try_("POST", CREATE, body) == (status, errcode)
    assert (await alice.get("/joined_rooms"))["joined_rooms"] == []
