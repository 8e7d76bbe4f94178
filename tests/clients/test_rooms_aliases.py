from urllib.parse import quote

import pytest

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")
CANONICAL = "m.room.canonical_alias"


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


def path_of(name, server_name="localhost"):
    return f"/directory/room/{quote(f'#{name}:{server_name}', safe='')}"


async def put(user, name, room):
    return await user.try_("PUT", path_of(name), {"room_id": room})


async def test_an_alias_stands_for_its_room_until_it_is_removed(rooms_server, alice, room):
    assert await put(alice, "kitchen", room) == (200, {})
    found = await alice.get(path_of("kitchen"))
    anybody = await rooms_server.call("GET", f"/_matrix/client/v3{path_of('kitchen')}")

    assert found == {"room_id": room, "servers": ["localhost"]}
    assert anybody == (200, found)
    assert await alice.ask("DELETE", path_of("kitchen")) == {}
    assert await alice.try_("GET", path_of("kitchen")) == NOT_FOUND
    assert await alice.try_("DELETE", path_of("kitchen")) == NOT_FOUND
    assert await put(alice, "kitchen", room) == (200, {})


async def test_an_alias_stands_for_one_room(alice, room):
    other_room = await alice.create()
    await put(alice, "kitchen", room)
    status, _ = await put(alice, "kitchen", other_room)

    assert status == 409
    assert (await alice.get(path_of("kitchen")))["room_id"] == room


@pytest.mark.parametrize("name", ["K\u00fcche", "with/slash", "100%", "a b", "\U0001f600"])
async def test_an_alias_may_be_any_text(alice, room, name):
    await put(alice, name, room)

    assert (await alice.get(path_of(name)))["room_id"] == room


async def test_the_aliases_of_a_room_are_told_to_its_members(alice, bob, carol, room):
    await put(alice, "kitchen", room)
    await put(bob, "cooking", room)
    path = f"/rooms/{quote(room)}/aliases"

    aliases = (await bob.get(path))["aliases"]
    assert sorted(aliases) == ["#cooking:localhost", "#kitchen:localhost"]
    assert await carol.try_("GET", path) == FORBIDDEN
    assert await carol.try_("GET", f"/rooms/{quote('!nowhere:localhost')}/aliases") == FORBIDDEN


async def test_only_members_give_a_room_an_alias(bob, carol, room):
    assert await put(carol, "kitchen", room) == FORBIDDEN
    assert await put(bob, "kitchen", "!nowhere:localhost") == FORBIDDEN
    assert await put(bob, "kitchen", room) == (200, {})


async def test_an_alias_is_removed_by_its_maker_or_a_moderator(alice, bob, carol, room):
    await put(alice, "by-alice", room)
    await put(bob, "by-bob", room)
    await carol.act(room, "join")

    assert await carol.try_("DELETE", path_of("by-bob")) == FORBIDDEN
    assert await bob.try_("DELETE", path_of("by-alice")) == FORBIDDEN
    await bob.act(room, "leave")
    await bob.ask("DELETE", path_of("by-bob"))
    await put(carol, "by-carol", room)
    await alice.ask("DELETE", path_of("by-carol"))


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("alias", ["nonsense", "#nonsense", "#kitchen:elsewhere", f"#{'x' * 255}:localhost"])
async def test_an_alias_that_is_not_ours_is_not_changed(alice, room, method, alias):
    body = {"room_id": room} if method == "PUT" else None
    answer = await alice.try_(method, f"/directory/room/{quote(alias)}", body)

    assert answer == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    ("alias", "status", "errcode"),
    [
        ("nonsense", 400, "M_INVALID_PARAM"),
        ("#nowhere:localhost", 404, "M_NOT_FOUND"),
        ("#nowhere:elsewhere", 404, "M_NOT_FOUND"),
    ],
)
async def test_an_alias_that_stands_for_nothing_is_not_found(alice, alias, status, errcode):
    assert await alice.try_("GET", f"/directory/room/{quote(alias)}") == (status, errcode)


@pytest.mark.parametrize("body", [{}, {"room_id": 1}, []])
async def test_the_room_must_be_said(alice, body):
    assert await alice.try_("PUT", path_of("kitchen"), body) == (400, "M_BAD_JSON")


async def test_the_canonical_alias_must_stand_for_the_room(alice, room):
    other_room = await alice.create()
    await put(alice, "kitchen", room)
    await put(alice, "other", other_room)
    kitchen = {"alias": "#kitchen:localhost", "alt_aliases": ["#kitchen:localhost"]}

    assert await alice.try_set_state(room, CANONICAL, {"alias": "#other:localhost"}) == (400, "M_BAD_ALIAS")
    await alice.set_state(room, CANONICAL, kitchen)
    await alice.ask("DELETE", path_of("kitchen"))
    # What was right when it was said may be said on.
    await alice.set_state(room, CANONICAL, {"alt_aliases": ["#kitchen:localhost"]})
    await alice.set_state(room, CANONICAL, {})
    assert await alice.try_set_state(room, CANONICAL, kitchen) == (400, "M_BAD_ALIAS")


async def test_aliases_are_not_told_to_those_who_left_unless_the_world_reads_the_room(
    alice, bob, carol, room
):
    await put(alice, "kitchen", room)
    path = f"/rooms/{quote(room)}/aliases"
    await bob.act(room, "leave")

    assert await bob.try_("GET", path) == FORBIDDEN
    await alice.set_state(room, "m.room.history_visibility", {"history_visibility": "world_readable"})
    assert (await bob.get(path))["aliases"] == ["#kitchen:localhost"]
    assert (await carol.get(path))["aliases"] == ["#kitchen:localhost"]


async def test_admins_remove_any_alias(alice, admin, room):
    await put(alice, "kitchen", room)

    assert await admin.ask("DELETE", path_of("kitchen")) == {}


async def test_who_made_an_alias_removes_it_but_a_moderator_who_left_does_not(alice, bob, room):
    await put(bob, "by-bob", room)
    await alice.act(room, "leave")

    assert await alice.try_("DELETE", path_of("by-bob")) == FORBIDDEN
    assert await bob.ask("DELETE", path_of("by-bob")) == {}


async def test_removing_an_alias_leaves_the_room_as_it_is(alice, room):
    await put(alice, "kitchen", room)
    content = {"alias": "#kitchen:localhost", "alt_aliases": ["#kitchen:localhost"]}
    event_id = await alice.set_state(room, CANONICAL, content)
    await alice.ask("DELETE", path_of("kitchen"))

    assert (await alice.all_state(room))[CANONICAL, ""]["event_id"] == event_id


async def test_a_room_has_a_limited_number_of_aliases(alice, room, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.aliases.ALIASES_OF_ROOM_MAX", 2)
    await put(alice, "one", room)
    await put(alice, "two", room)

    assert await put(alice, "three", room) == FORBIDDEN
    await alice.ask("DELETE", path_of("one"))
    assert await put(alice, "three", room) == (200, {})


@pytest.mark.parametrize(
    ("content", "errcode"),
    [
        ({"alias": "nonsense"}, "M_INVALID_PARAM"),
        ({"alias": 5}, "M_INVALID_PARAM"),
        ({"alias": f"#{'x' * 255}:localhost"}, "M_INVALID_PARAM"),
        ({"alt_aliases": "#kitchen:localhost"}, "M_INVALID_PARAM"),
        ({"alt_aliases": {}}, "M_INVALID_PARAM"),
        ({"alt_aliases": [None, 5]}, "M_INVALID_PARAM"),
        ({"alt_aliases": ["#kitchen"]}, "M_INVALID_PARAM"),
        ({"alt_aliases": ["#nowhere:localhost"]}, "M_BAD_ALIAS"),
        ({"alias": "#kitchen:localhost", "alt_aliases": ["#kitchen:elsewhere"]}, "M_BAD_ALIAS"),
        ({"alias": "#KITCHEN:localhost"}, "M_BAD_ALIAS"),
    ],
)
async def test_a_canonical_alias_is_checked_wherever_it_is_set(alice, room, content, errcode):
    await put(alice, "kitchen", room)
    wishes = {"initial_state": [{"type": CANONICAL, "content": content}], "room_alias_name": "new"}

    assert await alice.try_set_state(room, CANONICAL, content) == (400, errcode)
    assert await alice.try_("POST", "/createRoom", wishes) == (400, errcode)
    assert await alice.try_("GET", path_of("new")) == NOT_FOUND


@pytest.mark.parametrize(
    "content", [{}, {"alias": None}, {"alias": "", "alt_aliases": []}, {"alt_aliases": None}]
)
async def test_a_room_need_not_have_a_canonical_alias(alice, room, content):
    await alice.set_state(room, CANONICAL, content)

    assert await alice.state(room, CANONICAL) == content


async def test_a_new_room_names_the_alias_that_it_gets(alice):
    content = {"alias": "#new:localhost", "alt_aliases": ["#new:localhost"]}
    room = await alice.create(initial_state=[{"type": CANONICAL, "content": content}], room_alias_name="new")

    assert await alice.state(room, CANONICAL) == content
