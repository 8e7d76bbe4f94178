import asyncio
from urllib.parse import quote

import pytest

FORBIDDEN = (403, "M_FORBIDDEN")
POWER_LEVELS = "m.room.power_levels"
CHILD = "m.space.child"


async def upgrade(user, room, version="12", **body):
    return (await user.act(room, "upgrade", new_version=version, **body))["replacement_room"]


async def state_of(user, room):
    return {key: event["content"] for key, event in (await user.all_state(room)).items()}


async def published(user, room):
    return (await user.get(f"/directory/list/room/{quote(room)}"))["visibility"]


SETTINGS = {
    "m.room.server_acl": {"allow": ["*"], "deny": ["evil.example"], "allow_ip_literals": False},
    "m.room.encryption": {"algorithm": "m.megolm.v1.aes-sha2"},
    "m.room.avatar": {"url": "mxc://localhost/abc"},
    "m.room.guest_access": {"guest_access": "forbidden"},
    "m.room.history_visibility": {"history_visibility": "joined"},
    "m.room.join_rules": {"join_rule": "public"},
    "m.room.name": {"name": "Lounge"},
    "m.room.topic": {"topic": "All"},
}


@pytest.mark.parametrize(
    ("old", "new"),
    [("1", "12"), ("5", "6"), ("9", "10"), ("11", "12"), ("12", "12"), ("12", "11"), ("12", "1")],
)
async def test_the_new_room_has_the_state_of_the_old_one(alice, old, new):
    settings = [{"type": name, "content": content} for name, content in SETTINGS.items()]
    room = await alice.create(room_version=old, initial_state=settings, creation_content={"type": "org.x"})
    await alice.set_state(room, "org.example.own", {"a": 1})
    last = await alice.send(room)
    successor = await upgrade(alice, room, new)

    state = await state_of(alice, successor)
    create = state["m.room.create", ""]
    assert create["room_version"] == new
    assert create["type"] == "org.x"
    assert create["predecessor"] == {"room_id": room, "event_id": last}
    assert {name: state[name, ""] for name in SETTINGS} == SETTINGS
    assert ("org.example.own", "") not in state
    tombstone = await alice.state(room, "m.room.tombstone")
    assert tombstone == {"body": "This room has been replaced.", "replacement_room": successor}


async def test_a_room_without_some_state_gets_none_of_it(alice):
    room = await alice.create(room_version="11")
    successor = await upgrade(alice, room)

    kept = {"create", "member", "power_levels", "join_rules", "history_visibility", "guest_access"}
    assert {key[0].removeprefix("m.room.") for key in await state_of(alice, successor)} == kept


@pytest.mark.parametrize(("old", "new"), [("10", "11"), ("11", "12"), ("1", "12")])
async def test_moderators_keep_their_levels_and_creators_have_none_where_they_need_none(alice, bob, old, new):
    levels = {"users": {alice.user_id: 100, bob.user_id: 50}, "events": {"org.x": 7}, "kick": 60, "ban": 70}
    room = await alice.create(room_version=old, power_level_content_override=levels)
    successor = await upgrade(alice, room, new)

    told = await alice.state(successor, POWER_LEVELS)
    expected = {bob.user_id: 50} if new == "12" else {alice.user_id: 100, bob.user_id: 50}
    assert told["users"] == expected
    assert told["events"]["org.x"] == 7
    assert (told["kick"], told["ban"]) == (60, 70)
    if new == "12":
        assert told["events"]["m.room.tombstone"] == 150
    assert [key for key in await state_of(alice, successor) if key[0] == POWER_LEVELS] == [(POWER_LEVELS, "")]


async def test_a_moderator_who_may_upgrade_does_not_gain_power_by_it(alice, bob):
    """Though the new room is set up with state that takes more than the moderator has in the end."""
    levels = {
        "users": {alice.user_id: 100, bob.user_id: 50},
        "events": {"m.room.tombstone": 50, "m.room.name": 100},
    }
    room = await alice.create(
        preset="public_chat", room_version="10", name="Old", power_level_content_override=levels
    )
    await bob.act(room, "join")
    successor = await upgrade(bob, room, "11")

    assert (await bob.state(successor, "m.room.name")) == {"name": "Old"}
    told = await bob.state(successor, POWER_LEVELS)
    assert told["users"] == {alice.user_id: 100, bob.user_id: 50}
    assert await bob.try_set_state(successor, "m.room.name", {"name": "Mine"}) == FORBIDDEN


async def test_levels_written_as_text_are_numbers_where_they_must_be(alice, bob):
    levels = {"users": {alice.user_id: 100, bob.user_id: "50"}, "ban": "60", "events": {"org.x": "3"}}
    room = await alice.create(room_version="9", power_level_content_override=levels)
    told = await alice.state(await upgrade(alice, room, "10"), POWER_LEVELS)

    assert (told["users"][bob.user_id], told["ban"], told["events"]["org.x"]) == (50, 60, 3)


async def test_additional_creators_are_named_anew(alice, bob, carol):
    room = await alice.create(creation_content={"additional_creators": [bob.user_id]})
    await alice.set_state(room, POWER_LEVELS, {**await alice.state(room, POWER_LEVELS), "users": {}})
    first = await upgrade(alice, room, additional_creators=[carol.user_id])
    create = await alice.state(first, "m.room.create")
    assert create["additional_creators"] == [carol.user_id]

    second = await upgrade(alice, first, "11", additional_creators=[bob.user_id])
    assert "additional_creators" not in await alice.state(second, "m.room.create")
    assert (await alice.state(second, POWER_LEVELS))["users"] == {alice.user_id: 100, carol.user_id: 100}
    refused = await alice.try_act(room, "upgrade", new_version="12", additional_creators=["nobody"])
    assert refused == (200, {"replacement_room": first})
    other = await alice.create()
    refused = await alice.try_act(other, "upgrade", new_version="12", additional_creators=["nobody"])
    assert refused == (400, "M_INVALID_PARAM")
    assert ("m.room.tombstone", "") not in await state_of(alice, other)


@pytest.mark.parametrize(("old", "new"), [("10", "11"), ("11", "12")])
async def test_bans_move(alice, bob, carol, old, new):
    levels = {"users": {alice.user_id: 100, carol.user_id: 99}}
    room = await alice.create(preset="public_chat", room_version=old, power_level_content_override=levels)
    for user in (bob, carol):
        await user.act(room, "join")
        await alice.act(room, "ban", user_id=user.user_id, reason="Spam")
    successor = await upgrade(alice, room, new)

    for user in (bob, carol):
        assert await alice.state(successor, "m.room.member", user.user_id) == {
            "membership": "ban", "reason": "Spam",
        }  # fmt: skip
        assert await user.try_act(successor, "join") == FORBIDDEN


async def test_somebody_banned_by_now_whose_level_is_as_high_is_banned_all_the_same(alice, bob):
    room = await alice.create(preset="public_chat", room_version="10")
    await bob.act(room, "join")
    await alice.act(room, "ban", user_id=bob.user_id)
    levels = await alice.state(room, POWER_LEVELS)
    levels["users"][bob.user_id] = 100
    await alice.set_state(room, POWER_LEVELS, levels)
    successor = await upgrade(alice, room, "11")

    assert await alice.membership(successor, bob.user_id) == "ban"
    assert (await alice.state(successor, POWER_LEVELS))["users"] == levels["users"]


async def test_aliases_move_with_the_canonical_one(alice):
    room = await alice.create(preset="public_chat", room_alias_name="lounge")
    await alice.ask("PUT", f"/directory/room/{quote('#bar:localhost')}", {"room_id": room})
    canonical = {"alias": "#lounge:localhost", "alt_aliases": ["#bar:localhost"]}
    await alice.set_state(room, "m.room.canonical_alias", canonical)
    successor = await upgrade(alice, room)

    for alias in ("#lounge:localhost", "#bar:localhost"):
        assert (await alice.get(f"/directory/room/{quote(alias)}"))["room_id"] == successor
    assert await alice.state(successor, "m.room.canonical_alias") == canonical
    assert await alice.state(room, "m.room.canonical_alias") == {}
    assert (await alice.get(f"/rooms/{quote(room)}/aliases"))["aliases"] == []


async def test_the_place_in_the_directory_moves(rooms_server, alice):
    room = await alice.create(visibility="public")
    successor = await upgrade(alice, room)

    rooms = rooms_server.services.rooms.entry.upgrades._registry.rooms
    assert [one.room_id for one in await rooms.public(10)] == [successor]


async def test_a_space_keeps_its_children_and_its_parents(alice, bob):
    via = {"via": ["localhost"]}
    parent = await alice.create(creation_content={"type": "m.space"})
    foreign = await bob.create(preset="public_chat", creation_content={"type": "m.space"})
    await alice.act(foreign, "join")
    space = await alice.create(creation_content={"type": "m.space"}, room_version="11")
    await alice.set_state(parent, CHILD, {**via, "order": "a"}, space)
    await bob.set_state(foreign, CHILD, via, space)
    await alice.set_state(space, CHILD, {**via, "suggested": True}, "!one:localhost")
    await alice.set_state(space, CHILD, {}, "!gone:localhost")
    successor = await upgrade(alice, space)

    children = {key[1]: c for key, c in (await state_of(alice, successor)).items() if key[0] == CHILD}
    assert children == {"!one:localhost": {**via, "suggested": True}}
    links = {key[1]: c for key, c in (await state_of(alice, parent)).items() if key[0] == CHILD}
    assert links == {space: {}, successor: {**via, "order": "a"}}
    links = {key[1]: c for key, c in (await state_of(alice, foreign)).items() if key[0] == CHILD}
    assert links == {space: via}


@pytest.mark.parametrize(
    ("old", "new", "join_rule", "expected"),
    [
        ("10", "11", "knock_restricted", "knock_restricted"),
        ("10", "9", "knock_restricted", "restricted"),
        ("10", "7", "knock_restricted", "knock"),
        ("10", "6", "knock_restricted", "invite"),
        ("8", "7", "restricted", "invite"),
        ("8", "12", "restricted", "restricted"),
        ("7", "6", "knock", "invite"),
    ],
)
async def test_a_join_rule_that_the_version_lacks_becomes_a_stricter_one(
    alice, old, new, join_rule, expected
):
    allow = [{"type": "m.room_membership", "room_id": "!space:localhost"}]
    content = {"join_rule": join_rule, "allow": allow}
    room = await alice.create(
        room_version=old, initial_state=[{"type": "m.room.join_rules", "content": content}]
    )
    told = await alice.state(await upgrade(alice, room, new), "m.room.join_rules")

    assert told == ({"join_rule": "invite"} if expected == "invite" else {**content, "join_rule": expected})


async def test_the_old_room_goes_quiet(alice, bob):
    levels = {"users_default": 60}
    room = await alice.create(preset="public_chat", room_version="11", power_level_content_override=levels)
    await bob.act(room, "join")
    await upgrade(alice, room)

    told = await alice.state(room, POWER_LEVELS)
    assert (told["events_default"], told["invite"]) == (61, 61)
    assert await bob.try_send(room) == FORBIDDEN


async def test_who_may_not_cannot_upgrade(alice, bob, carol):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")

    for user in (bob, carol):
        assert await user.try_act(room, "upgrade", new_version="12") == FORBIDDEN
    assert await alice.try_act("!nowhere:localhost", "upgrade", new_version="12") == FORBIDDEN
    assert ("m.room.tombstone", "") not in await state_of(alice, room)


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        ({"new_version": "99"}, "M_UNSUPPORTED_ROOM_VERSION"),
        ({"new_version": 12}, "M_BAD_JSON"),
        ({}, "M_BAD_JSON"),
        ({"new_version": "12", "additional_creators": "@bob:localhost"}, "M_BAD_JSON"),
        ({"new_version": "12", "additional_creators": ["@b:localhost"] * 101}, "M_INVALID_PARAM"),
    ],
)
async def test_what_is_no_upgrade_is_refused(alice, body, errcode):
    room = await alice.create()

    assert await alice.try_act(room, "upgrade", **body) == (400, errcode)
    assert ("m.room.tombstone", "") not in await state_of(alice, room)


async def test_to_ask_twice_or_at_once_makes_one_room(alice):
    room = await alice.create(room_version="11")
    successors = await asyncio.gather(*[upgrade(alice, room) for _ in range(3)])
    events = [event["event_id"] for event in (await alice.messages(room))["chunk"]]

    assert len({*successors, await upgrade(alice, room)}) == 1
    assert [event["event_id"] for event in (await alice.messages(room))["chunk"]] == events


async def test_another_version_makes_another_room(alice):
    room = await alice.create(room_version="10")
    first = await upgrade(alice, room, "11")
    second = await upgrade(alice, room, "12")

    assert first != second
    assert (await alice.state(room, "m.room.tombstone"))["replacement_room"] == second


async def test_an_upgrade_that_was_interrupted_goes_on(rooms_server, alice, monkeypatch):
    room = await alice.create(room_alias_name="lounge", room_version="11")
    succession = rooms_server.services.rooms.entry.upgrades._succession

    async def fail(*_):
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(succession, "move", fail)
        with pytest.raises(ConnectionError):
            await alice.try_act(room, "upgrade", new_version="12")
    successor = (await alice.state(room, "m.room.tombstone"))["replacement_room"]
    assert await alice.state(successor, "m.room.create")

    assert await upgrade(alice, room) == successor
    assert (await alice.get(f"/directory/room/{quote('#lounge:localhost')}"))["room_id"] == successor


async def test_an_upgrade_that_fails_early_leaves_the_old_room_as_it_was(rooms_server, alice, monkeypatch):
    room = await alice.create(room_version="11")
    before = await state_of(alice, room)
    upgrades = rooms_server.services.rooms.entry.upgrades

    async def fail(*_):
        raise ConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(upgrades, "_send_all", fail)
        with pytest.raises(ConnectionError):
            await alice.try_act(room, "upgrade", new_version="12")

    assert await state_of(alice, room) == before
    assert await alice.state(await upgrade(alice, room), "m.room.create")


def account_data_path(user, event_type, room=None):
    place = "" if room is None else f"/rooms/{quote(room)}"
    return f"/user/{quote(user.user_id)}{place}/account_data/{event_type}"


async def test_users_take_along_what_they_set_for_the_room(alice, bob):
    room = await alice.create(preset="public_chat", room_version="11")
    await bob.act(room, "join")
    tags, direct = {"tags": {"m.favourite": {"order": 0.5}}}, {"@x:localhost": [room, "!other:localhost"]}
    for user in (alice, bob):
        await user.ask("PUT", account_data_path(user, "m.tag", room), tags)
        await user.ask("PUT", account_data_path(user, "m.direct"), direct)
    successor = await upgrade(alice, room)
    assert await bob.try_("GET", account_data_path(bob, "m.tag", successor)) == (404, "M_NOT_FOUND")
    await bob.act(successor, "join")

    for user in (alice, bob):
        assert await user.get(account_data_path(user, "m.tag", successor)) == tags
        told = await user.get(account_data_path(user, "m.direct"))
        assert told == {"@x:localhost": [room, "!other:localhost", successor]}


async def test_a_room_that_only_claims_to_replace_another_gets_nothing_of_it(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    await bob.ask("PUT", account_data_path(bob, "m.tag", room), {"tags": {"m.favourite": {}}})
    claims = {"predecessor": {"room_id": room}}
    other = await alice.create(preset="public_chat", creation_content=claims)
    await bob.act(other, "join")

    assert await bob.try_("GET", account_data_path(bob, "m.tag", other)) == (404, "M_NOT_FOUND")
