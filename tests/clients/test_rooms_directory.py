"""The room directory: who publishes what, and looking through it."""

import dataclasses
from itertools import chain
from urllib.parse import quote

import pytest

from tests.doubles.rooms import V3, RoomsServer

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")
INVALID = (400, "M_INVALID_PARAM")
NOWHERE = "!nowhere:localhost"


def visibility(room):
    return f"/directory/list/room/{quote(room)}"


async def publish(user, room, value="public"):
    return await user.try_("PUT", visibility(room), {"visibility": value})


async def listed(user, **body):
    """The IDs of the rooms that the directory shows."""
    answer = await user.ask("POST", "/publicRooms", body)
    return [room["room_id"] for room in answer["chunk"]]


@pytest.fixture
async def five(alice, bob, carol):
    """Five published rooms, the largest first; two of them have two members, and two have one."""
    rooms = [await alice.create(visibility="public", name=f"room {number}") for number in range(5)]
    for user, count in ((bob, 3), (carol, 1)):
        for room in rooms[:count]:
            await user.act(room, "join")
    return rooms


async def test_a_room_is_listed_as_its_creator_wished(rooms_server, alice, bob):
    public, private = await alice.create(visibility="public"), await alice.create()

    assert await bob.get(visibility(public)) == {"visibility": "public"}
    assert await bob.get(visibility(private)) == {"visibility": "private"}
    assert await rooms_server.call("GET", V3 + visibility(public)) == (200, {"visibility": "public"})
    assert await listed(bob) == [public]


async def test_moderators_list_a_room_and_list_it_no_more(alice, bob, carol):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")

    assert await publish(bob, room) == FORBIDDEN
    assert await publish(carol, room) == FORBIDDEN
    assert await publish(alice, room) == (200, {})
    assert await listed(carol) == [room]
    assert await publish(alice, room, "private") == (200, {})
    assert await listed(carol) == []
    assert (await alice.ask("PUT", visibility(room), {})) == {}
    assert await listed(carol) == [room]


async def test_whoever_left_a_room_does_not_list_it(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    await alice.act(room, "leave")

    assert await publish(alice, room) == FORBIDDEN


async def test_admins_list_any_room(alice, admin):
    room = await alice.create()

    assert await publish(admin, room) == (200, {})
    assert await listed(alice) == [room]


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("room", [NOWHERE, "nonsense", "#alias:localhost"])
async def test_a_room_that_is_not_here_is_not_found(alice, method, room):
    assert await alice.try_(method, visibility(room), {}) == NOT_FOUND


@pytest.mark.parametrize("body", [{"visibility": "secret"}, {"visibility": None}, {"visibility": 1}, []])
async def test_the_visibility_is_public_or_private(alice, body):
    room = await alice.create()

    assert await alice.try_("PUT", visibility(room), body) == (400, "M_BAD_JSON")
    assert await listed(alice) == []


async def test_the_directory_shows_what_the_specification_names(alice):
    room = await alice.create(
        visibility="public", name="Kitchen", topic="Pots", room_alias_name="kitchen",
        creation_content={"type": "org.example.kitchen"},
        initial_state=[
            {"type": "m.room.avatar", "content": {"url": "mxc://localhost/pot"}},
            {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}},
            {"type": "m.room.guest_access", "content": {"guest_access": "can_join"}},
            {"type": "m.room.join_rules", "content": {"join_rule": "knock"}},
        ],
    )  # fmt: skip
    answer = await alice.get("/publicRooms")

    assert answer == {
        "chunk": [
            {
                "room_id": room, "name": "Kitchen", "topic": "Pots", "canonical_alias": "#kitchen:localhost",
                "avatar_url": "mxc://localhost/pot", "num_joined_members": 1, "world_readable": True,
                "guest_can_join": True, "join_rule": "knock", "room_type": "org.example.kitchen",
            }
        ],
        "total_room_count_estimate": 1,
    }  # fmt: skip


async def test_what_is_not_text_is_not_shown(alice):
    room = await alice.create(visibility="public", name="old")
    for event_type, content in (
        ("m.room.name", {"name": 5}), ("m.room.topic", {"topic": ["x"], "m.topic": {"m.text": [5]}}),
        ("m.room.avatar", {"url": {}}), ("m.room.guest_access", {"guest_access": None}),
    ):  # fmt: skip
        await alice.set_state(room, event_type, content)
    (entry,) = (await alice.get("/publicRooms"))["chunk"]

    assert set(entry) == {"room_id", "num_joined_members", "world_readable", "guest_can_join", "join_rule"}
    assert entry["guest_can_join"] is False


@pytest.mark.parametrize(
    ("content", "topic"),
    [
        ({"topic": "plain", "m.topic": {"m.text": [{"body": "other"}]}}, "plain"),
        ({"m.topic": {"m.text": [{"mimetype": "text/html", "body": "<b>"}, {"body": "text"}]}}, "text"),
        ({"m.topic": {"m.text": [{"mimetype": "text/plain", "body": "text"}]}}, "text"),
        ({"m.topic": {"m.text": [{"mimetype": "text/html", "body": "<b>"}]}}, None),
        ({}, None),
    ],
)
async def test_the_topic_is_shown_in_plain_text(alice, content, topic):
    room = await alice.create(visibility="public")
    await alice.set_state(room, "m.room.topic", content)
    (entry,) = (await alice.get("/publicRooms"))["chunk"]

    assert entry.get("topic") == topic


async def test_redacted_state_is_not_shown(alice):
    room = await alice.create(visibility="public")
    name = await alice.set_state(room, "m.room.name", {"name": "secret"})
    await alice.redact(room, name)
    (entry,) = (await alice.get("/publicRooms"))["chunk"]

    assert "name" not in entry


async def test_the_largest_rooms_come_first(alice, five):
    answer = await alice.get("/publicRooms")

    assert [room["num_joined_members"] for room in answer["chunk"]] == [3, 2, 2, 1, 1]
    assert [room["room_id"] for room in answer["chunk"]] == five
    assert answer["total_room_count_estimate"] == 5
    assert "next_batch" not in answer
    assert "prev_batch" not in answer


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_pages_lead_forwards_and_back_again(alice, five, limit):
    pages, token = [], None
    while True:
        since = "" if token is None else f"&since={token}"
        answer = await alice.get(f"/publicRooms?limit={limit}{since}")
        pages.append([room["room_id"] for room in answer["chunk"]])
        token = answer.get("next_batch")
        if token is None:
            break
    back, token = [pages[-1]], answer.get("prev_batch")
    while token is not None:
        answer = await alice.ask("POST", "/publicRooms", {"limit": limit, "since": token})
        back.append([room["room_id"] for room in answer["chunk"]])
        token = answer.get("prev_batch")

    assert list(chain(*pages)) == five
    assert all(len(page) == limit for page in pages[:-1])
    # The pages backwards begin at another place unless all are full, but lose nothing either.
    assert list(chain(*back[::-1])) == five


async def test_after_going_back_a_page_leads_forwards_again(alice, five):
    first = await alice.get("/publicRooms?limit=2")
    second = await alice.get(f"/publicRooms?limit=2&since={first['next_batch']}")
    back = await alice.get(f"/publicRooms?limit=2&since={second['prev_batch']}")
    again = await alice.get(f"/publicRooms?limit=2&since={back['next_batch']}")

    assert back["chunk"] == first["chunk"]
    assert again["chunk"] == second["chunk"]


async def test_rooms_that_everybody_left_are_not_listed(alice, bob):
    room = await alice.create(visibility="public")
    await alice.act(room, "leave")

    assert await listed(bob) == []


async def test_a_term_is_looked_for_in_name_topic_and_alias(alice):
    named = await alice.create(visibility="public", name="Gro\u00dfe K\u00dcCHE")
    about = await alice.create(visibility="public", name="Other", topic="about the k\u00fcche")
    alias = await alice.create(visibility="public", room_alias_name="die-k\u00fcche")
    await alice.create(visibility="public", name="Bath")

    assert set(await listed(alice, filter={"generic_search_term": "K\u00fcche"})) == {named, about, alias}
    assert await listed(alice, filter={"generic_search_term": "GROSSE"}) == [named]
    assert await listed(alice, filter={"generic_search_term": "%"}) == []
    assert len(await listed(alice, filter={"generic_search_term": ""})) == 4
    assert len(await listed(alice, filter={})) == 4


async def test_rooms_are_found_by_their_type(alice):
    plain = await alice.create(visibility="public")
    space = await alice.create(visibility="public", creation_content={"type": "m.space"})

    assert await listed(alice, filter={"room_types": ["m.space"]}) == [space]
    assert await listed(alice, filter={"room_types": [None]}) == [plain]
    assert await listed(alice, filter={"room_types": [None, "m.space"]}) == [plain, space]
    assert await listed(alice, filter={"room_types": []}) == []
    assert await listed(alice, filter={"room_types": None}) == [plain, space]


async def test_a_search_has_pages_too(alice, five):
    wanted = {"limit": 1, "filter": {"generic_search_term": "ROOM"}}
    first = await alice.ask("POST", "/publicRooms", wanted)
    second = await alice.ask("POST", "/publicRooms", {**wanted, "since": first["next_batch"]})

    assert [room["room_id"] for room in first["chunk"] + second["chunk"]] == five[:2]


async def test_a_search_that_finds_little_goes_on_with_a_token(alice, five, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.directory._ROOMS_AT_ONCE", 2)
    monkeypatch.setattr("homeserver.rooms.directory.ROOMS_SCANNED_MAX", 2)
    wanted = {"filter": {"generic_search_term": "room 4"}}
    first = await alice.ask("POST", "/publicRooms", wanted)
    second = await alice.ask("POST", "/publicRooms", {**wanted, "since": first["next_batch"]})
    third = await alice.ask("POST", "/publicRooms", {**wanted, "since": second["next_batch"]})

    assert first["chunk"] == second["chunk"] == []
    assert [room["room_id"] for room in third["chunk"]] == [five[4]]
    assert "next_batch" not in third


async def test_no_rooms_of_other_networks_are_known(alice, five):
    assert await listed(alice, third_party_instance_id="irc-example") == []
    assert len(await listed(alice, include_all_networks=True)) == 5
    both = {"third_party_instance_id": "irc-example", "include_all_networks": True}
    assert await alice.try_("POST", "/publicRooms", both) == INVALID


async def test_the_directory_of_another_server_is_an_honest_error(alice, five):
    assert (await alice.try_("GET", "/publicRooms?server=elsewhere"))[0] == 404
    assert (await alice.try_("POST", "/publicRooms?server=elsewhere", {}))[0] == 404
    assert len((await alice.get("/publicRooms?server=localhost"))["chunk"]) == 5


@pytest.mark.parametrize(
    "query",
    ["limit=-1", "limit=many", "since=nonsense", "since=f1", "since=f1_1x", "since=b%20_1",
     f"since=f{'9' * 10}_1", f"since=f1_{'9' * 30}"],
)  # fmt: skip
async def test_odd_pages_are_refused(alice, query):
    assert await alice.try_("GET", f"/publicRooms?{query}") == INVALID


@pytest.mark.parametrize(
    "body",
    [{"limit": "1"}, {"since": 1}, {"filter": []}, {"filter": {"generic_search_term": 1}},
     {"filter": {"room_types": "m.space"}}, {"filter": {"room_types": [1]}}, {"include_all_networks": 1}],
)  # fmt: skip
async def test_odd_searches_are_refused(alice, body):
    assert await alice.try_("POST", "/publicRooms", body) == (400, "M_BAD_JSON")


@pytest.mark.parametrize(
    "body",
    [{"limit": -1}, {"filter": {"generic_search_term": "x" * 256}}, {"filter": {"room_types": ["x"] * 101}}],
)
async def test_searches_have_limits(alice, body):
    assert await alice.try_("POST", "/publicRooms", body) == INVALID


async def test_odd_characters_in_a_search_do_no_harm(alice, five):
    assert await listed(alice, filter={"generic_search_term": "\0'\\\"*%_"}) == []
    assert await listed(alice, limit=0) == five
    assert len(await listed(alice, limit=10**12)) == 5


async def test_everybody_reads_the_directory_but_only_users_search_it(rooms_server, alice, five):
    status, answer = await rooms_server.call("GET", f"{V3}/publicRooms")

    assert (status, len(answer["chunk"])) == (200, 5)
    status, answer = await rooms_server.call("POST", f"{V3}/publicRooms", {})
    assert (status, answer["errcode"]) == (401, "M_MISSING_TOKEN")


async def test_from_behind_the_last_room_a_page_leads_back(alice, five):
    first = await alice.get("/publicRooms?limit=4")
    await publish(alice, five[4], "private")
    behind = await alice.get(f"/publicRooms?limit=4&since={first['next_batch']}")
    back = await alice.get(f"/publicRooms?limit=4&since={behind['prev_batch']}")

    assert behind["chunk"] == []
    assert back["chunk"] == first["chunk"]


async def test_a_page_of_rooms_that_are_gone_leads_to_the_beginning(alice, five):
    token = (await alice.get("/publicRooms?limit=1"))["next_batch"]
    second = await alice.get(f"/publicRooms?limit=1&since={token}")
    await publish(alice, five[0], "private")
    back = await alice.get(f"/publicRooms?limit=1&since={second['prev_batch']}")
    again = await alice.get(f"/publicRooms?limit=1&since={back['next_batch']}")

    assert (back["chunk"], "prev_batch" in back) == ([], False)
    assert again["chunk"] == second["chunk"]


async def test_only_admins_publish_where_the_configuration_says_so(database, tmp_path):
    server = await server_with(database, tmp_path, publication="admins")
    try:
        alice, root = await server.user("alice"), await server.user("root")
        await database.execute("UPDATE accounts SET is_admin = true WHERE user_id = '@root:localhost'")
        room = await alice.create()

        assert await publish(alice, room) == FORBIDDEN
        assert await alice.try_("POST", "/createRoom", {"visibility": "public"}) == FORBIDDEN
        assert await publish(root, room) == (200, {})
        published = await root.create(visibility="public")
        assert await listed(alice) == [room, published]
        assert await publish(alice, room, "private") == (200, {})
    finally:
        await server.close()


async def test_only_users_read_the_directory_where_the_configuration_says_so(database, tmp_path):
    server = await server_with(database, tmp_path, directory_requires_login=True)
    try:
        alice = await server.user("alice")
        room = await alice.create(visibility="public")
        summary = f"/_matrix/client/v1/room_summary/{quote(room)}"

        for path in (f"{V3}/publicRooms", V3 + visibility(room), summary):
            status, answer = await server.call("GET", path)
            assert (status, answer["errcode"]) == (401, "M_MISSING_TOKEN")
            assert (await server.call("GET", path, token=alice.token))[0] == 200
    finally:
        await server.close()


async def server_with(database, directory, **keys):
    """A server with other keys in the section of rooms."""
    server = RoomsServer(database, directory)
    rooms = dataclasses.replace(server.configuration.rooms, **keys)
    server.configuration = dataclasses.replace(server.configuration, rooms=rooms)
    return await server.start()
