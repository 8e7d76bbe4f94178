from urllib.parse import quote

import pytest

from tests.doubles.rooms import state_path

FORBIDDEN = (403, "M_FORBIDDEN")
TOPIC = "m.room.topic"


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


async def test_state_is_read_as_it_was_set(alice, bob, room):
    first = await alice.set_state(room, TOPIC, {"topic": "Food"})
    event_id = await alice.set_state(room, TOPIC, {"topic": "Drinks"})
    event = await bob.get(f"{state_path(room, TOPIC)}?format=event")

    assert await bob.state(room, TOPIC) == {"topic": "Drinks"}
    assert (event["event_id"], event["state_key"], event["content"]) == (event_id, "", {"topic": "Drinks"})
    assert event["unsigned"]["replaces_state"] == first
    assert event["unsigned"]["prev_content"] == {"topic": "Food"}


@pytest.mark.parametrize("ending", ["", "/"])
async def test_an_empty_state_key_may_be_left_out(alice, room, ending):
    path = f"/rooms/{quote(room)}/state/{TOPIC}{ending}"
    await alice.ask("PUT", path, {"topic": "Food"})

    assert await alice.get(path) == {"topic": "Food"}
    assert await alice.get(path + "?format=content") == {"topic": "Food"}


@pytest.mark.parametrize("state_key", ["key", "with/slash", "\u00e9 \U0001f600", "_%25", "x" * 255])
async def test_every_state_key_is_told_apart(alice, room, state_key):
    await alice.set_state(room, "org.example", {"key": state_key}, state_key)

    assert await alice.state(room, "org.example", state_key) == {"key": state_key}
    assert await alice.try_("GET", state_path(room, "org.example")) == (404, "M_NOT_FOUND")


async def test_a_state_key_beyond_255_bytes_is_refused(alice, room):
    assert await alice.try_set_state(room, "org.example", {}, "x" * 256) == (413, "M_TOO_LARGE")


async def test_setting_the_same_again_makes_no_event(alice, room):
    first = await alice.set_state(room, TOPIC, {"topic": "Food"})

    assert await alice.set_state(room, TOPIC, {"topic": "Food"}) == first
    assert await alice.set_state(room, TOPIC, {"topic": "Drinks"}) != first


async def test_all_state_is_there_after_a_restart(rooms_server, alice, bob, room):
    await alice.set_state(room, "org.example", {"a": 1}, "key")
    before = await bob.all_state(room)
    await rooms_server.restart()
    after = await bob.all_state(room)

    assert {key: event["event_id"] for key, event in after.items()} == {
        key: event["event_id"] for key, event in before.items()
    }
    assert after["org.example", "key"]["content"] == {"a": 1}


async def test_who_lacks_the_power_sets_no_state(alice, bob, carol, room):
    assert await bob.try_set_state(room, TOPIC, {"topic": "Mine"}) == FORBIDDEN
    assert await carol.try_set_state(room, TOPIC, {"topic": "Mine"}) == FORBIDDEN
    levels = await alice.state(room, "m.room.power_levels")
    raised = {**levels, "users": {**levels["users"], bob.user_id: 50}}
    assert await bob.try_set_state(room, "m.room.power_levels", raised) == FORBIDDEN
    await alice.set_state(room, "m.room.power_levels", raised)

    await bob.set_state(room, TOPIC, {"topic": "Mine"})
    higher = {**levels, "users": {bob.user_id: 99}}
    assert await bob.try_set_state(room, "m.room.power_levels", higher) == FORBIDDEN


async def test_somebody_elses_state_key_is_theirs(alice, bob, room):
    levels = await alice.state(room, "m.room.power_levels")
    await alice.set_state(room, "m.room.power_levels", {**levels, "state_default": 0})

    await bob.set_state(room, "org.example", {"mine": True}, bob.user_id)
    assert await bob.try_set_state(room, "org.example", {}, alice.user_id) == FORBIDDEN


async def test_strangers_read_no_state_and_cannot_tell_the_room_from_none(carol, room):
    nowhere = "!nowhere:localhost"
    for path in ("/state", f"/state/{TOPIC}", "/members", "/joined_members", "/messages?dir=b"):
        assert await carol.try_("GET", f"/rooms/{quote(room)}{path}") == FORBIDDEN
        assert await carol.try_("GET", f"/rooms/{nowhere}{path}") == FORBIDDEN


async def test_anybody_reads_what_is_readable_by_the_world(alice, carol):
    world = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]
    room = await alice.create(initial_state=world, name="Open")
    event_id = await alice.send(room, "hello")

    assert await carol.state(room, "m.room.name") == {"name": "Open"}
    assert await carol.texts(room) == ["hello"]
    assert (await carol.event(room, event_id))["content"]["body"] == "hello"


@pytest.mark.parametrize("action", ["leave", "kick", "ban"])
async def test_who_is_gone_reads_the_state_as_it_was_then(alice, bob, room, action):
    await alice.set_state(room, TOPIC, {"topic": "Before"})
    if action == "leave":
        await bob.act(room, "leave")
    else:
        await alice.act(room, action, user_id=bob.user_id)
    await alice.set_state(room, TOPIC, {"topic": "After"})
    await alice.set_state(room, "org.example", {})

    state = await bob.all_state(room)
    assert state[TOPIC, ""]["content"] == {"topic": "Before"}
    assert ("org.example", "") not in state
    assert await bob.state(room, TOPIC) == {"topic": "Before"}
    assert await bob.try_("GET", state_path(room, "org.example")) == (404, "M_NOT_FOUND")
    assert await bob.membership(room, bob.user_id) == ("ban" if action == "ban" else "leave")


async def test_who_was_only_invited_reads_nothing(alice, bob):
    room = await alice.create(invite=[bob.user_id])
    assert await bob.try_("GET", f"/rooms/{quote(room)}/state") == FORBIDDEN
    await bob.act(room, "leave")

    assert await bob.try_("GET", f"/rooms/{quote(room)}/state") == FORBIDDEN


@pytest.mark.parametrize(
    ("event_type", "content", "status", "errcode"),
    [
        ("m.room.create", {}, 403, "M_FORBIDDEN"),
        ("m.room.redaction", {}, 400, "M_INVALID_PARAM"),
        ("m.room.power_levels", {"ban": "50"}, 403, "M_FORBIDDEN"),
        ("m.room.power_levels", {"users": {"bob": 1}}, 403, "M_FORBIDDEN"),
        ("org.example", {"n": 1.5}, 400, "M_BAD_JSON"),
        ("org.example", [], 400, "M_BAD_JSON"),
        ("org.example", b"{", 400, "M_NOT_JSON"),
        ("org.example", {"x": "x" * 65_536}, 413, "M_TOO_LARGE"),
        ("m.room.canonical_alias", {"alias": "#other:localhost"}, 400, "M_BAD_ALIAS"),
        ("m.room.canonical_alias", {"alias": "nonsense"}, 400, "M_INVALID_PARAM"),
        ("m.room.canonical_alias", {"alias": 3}, 400, "M_INVALID_PARAM"),
        ("m.room.canonical_alias", {"alt_aliases": ["#other:localhost"]}, 400, "M_BAD_ALIAS"),
    ],
)
async def test_what_cannot_be_state_is_refused(alice, room, event_type, content, status, errcode):
    assert await alice.try_set_state(room, event_type, content) == (status, errcode)


async def test_no_other_format_is_given(alice, room):
    path = f"{state_path(room, 'm.room.create')}?format=yaml"

    assert await alice.try_("GET", path) == (400, "M_INVALID_PARAM")
