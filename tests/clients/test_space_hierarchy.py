"""Walking over spaces."""

from itertools import chain
from urllib.parse import quote

import pytest

V1 = "/_matrix/client/v1"
FORBIDDEN = (403, "M_FORBIDDEN")
INVALID = (400, "M_INVALID_PARAM")
VIA = {"via": ["localhost"]}


async def space(user, **wishes):
    wishes.setdefault("preset", "public_chat")
    return await user.create(creation_content={"type": "m.space"}, **wishes)


async def add(user, parent, child, **content):
    await user.set_state(parent, "m.space.child", {**VIA, **content}, child)


async def try_walk(user, room, query=""):
    path = f"{V1}/rooms/{quote(room)}/hierarchy?{query}"
    status, answer = await user.server.call("GET", path, token=user.token)
    return status, answer.get("errcode", answer)


async def page(user, room, query=""):
    status, answer = await try_walk(user, room, query)
    assert status == 200, answer
    return answer


async def walk(user, room, query=""):
    """The IDs of the rooms of the first page."""
    return [one["room_id"] for one in (await page(user, room, query))["rooms"]]


@pytest.fixture
async def tree(alice):
    """A space with rooms and a space in it: `top(one, inner(two, deep(three)), four)`."""
    names = {}
    for name in ("one", "two", "three", "four"):
        names[name] = await alice.create(preset="public_chat", name=name)
    for name in ("top", "inner", "deep"):
        names[name] = await space(alice, name=name)
    await add(alice, names["top"], names["one"], order="a")
    await add(alice, names["top"], names["inner"], order="b", suggested=True)
    await add(alice, names["top"], names["four"], order="c", suggested=True)
    await add(alice, names["inner"], names["two"], order="a")
    await add(alice, names["inner"], names["deep"], order="b", suggested=True)
    await add(alice, names["deep"], names["three"])
    return names


def named(tree, room_ids):
    names = {room_id: name for name, room_id in tree.items()}
    return " ".join(names[room_id] for room_id in room_ids)


async def test_a_space_is_walked_depth_first(alice, bob, tree):
    assert named(tree, await walk(bob, tree["top"])) == "top one inner two deep three four"
    assert named(tree, await walk(alice, tree["inner"])) == "inner two deep three"
    assert named(tree, await walk(alice, tree["one"])) == "one"


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, "top"),
        (1, "top one inner four"),
        (2, "top one inner two deep four"),
        (10**6, "top one inner two deep three four"),
    ],
)
async def test_a_walk_goes_no_deeper_than_asked(bob, tree, depth, expected):
    assert named(tree, await walk(bob, tree["top"], f"max_depth={depth}")) == expected


async def test_only_suggested_rooms_are_shown_if_asked(bob, tree):
    answer = await page(bob, tree["top"], "suggested_only=true")

    assert named(tree, [one["room_id"] for one in answer["rooms"]]) == "top inner deep four"
    assert {one["state_key"] for one in answer["rooms"][0]["children_state"]} == {tree["inner"], tree["four"]}


async def test_each_room_is_summarised_and_each_space_names_its_children(alice, bob, tree):
    await bob.act(tree["inner"], "join")
    rooms = {one["room_id"]: one for one in (await page(bob, tree["top"]))["rooms"]}
    inner = rooms[tree["inner"]]
    children = inner.pop("children_state")

    assert inner == {
        "room_id": tree["inner"], "name": "inner", "num_joined_members": 2, "world_readable": False,
        "guest_can_join": False, "join_rule": "public", "room_type": "m.space", "room_version": "12",
    }  # fmt: skip
    stored = (await alice.all_state(tree["inner"]))["m.space.child", tree["two"]]
    assert children[0] == {
        key: stored[key] for key in ("type", "state_key", "content", "sender", "origin_server_ts")
    }
    assert [one["state_key"] for one in children] == [tree["two"], tree["deep"]]
    assert rooms[tree["one"]]["children_state"] == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_the_pages_of_a_walk_are_the_walk(bob, tree, limit):
    pages, query = [], f"limit={limit}"
    while True:
        answer = await page(bob, tree["top"], query)
        pages.append([one["room_id"] for one in answer["rooms"]])
        if "next_batch" not in answer:
            break
        query = f"limit={limit}&from={answer['next_batch']}"

    assert named(tree, chain(*pages)) == "top one inner two deep three four"
    assert all(len(one) == limit for one in pages[:-1])


async def test_a_page_can_be_asked_for_again_even_after_a_restart(rooms_server, bob, tree):
    first = await page(bob, tree["top"], "limit=2")
    query = f"limit=2&from={first['next_batch']}"
    once = await page(bob, tree["top"], query)
    await rooms_server.restart()
    again = await page(bob, tree["top"], query)

    assert again["rooms"] == once["rooms"]


async def test_a_token_is_good_for_its_walk_only(bob, carol, tree):
    token = (await page(bob, tree["top"], "limit=1&max_depth=3"))["next_batch"]

    for changed in ("max_depth=2", "", "max_depth=3&suggested_only=true"):
        assert await try_walk(bob, tree["top"], f"from={token}&{changed}") == INVALID
    assert await try_walk(carol, tree["top"], f"from={token}&max_depth=3") == INVALID
    assert await try_walk(bob, tree["inner"], f"from={token}&max_depth=3") == INVALID
    assert (await try_walk(bob, tree["top"], f"from={token}&max_depth=3"))[0] == 200


async def test_tokens_are_few_and_do_not_last(rooms_server, bob, tree):
    tokens = [(await page(bob, tree["top"], "limit=1"))["next_batch"] for _ in range(22)]
    (kept,) = await rooms_server.database.fetch("SELECT count(*) FROM hierarchy_walks")
    assert kept == (20,)
    assert await try_walk(bob, tree["top"], f"from={tokens[0]}") == INVALID
    assert (await try_walk(bob, tree["top"], f"from={tokens[-1]}"))[0] == 200

    await rooms_server.database.execute("UPDATE hierarchy_walks SET created_ms = created_ms - 3600001")
    assert await try_walk(bob, tree["top"], f"from={tokens[-1]}") == INVALID
    await page(bob, tree["top"], "limit=1")
    assert await rooms_server.database.fetch("SELECT count(*) FROM hierarchy_walks") == [(1,)]


async def test_a_circle_of_spaces_ends(alice, bob):
    one, two = await space(alice), await space(alice)
    await add(alice, one, two)
    await add(alice, one, one)
    await add(alice, two, one)

    assert await walk(bob, one) == [one, two]


async def test_children_come_in_their_order(alice, bob):
    top = await space(alice)
    first, second, third, fourth = [await alice.create(preset="public_chat") for _ in range(4)]
    await add(alice, top, fourth, order="not\tone")
    await add(alice, top, third, order="x" * 51)
    await add(alice, top, second, order="aaaa")
    await add(alice, top, first, order=" ")

    assert await walk(bob, top) == [top, first, second, fourth, third]


@pytest.mark.parametrize("content", [{}, {"via": []}, {"via": "localhost"}, {"via": [1]}, {"via": None}])
async def test_a_child_without_servers_that_know_it_is_none(alice, bob, content):
    top, room = await space(alice), await alice.create(preset="public_chat")
    await alice.set_state(top, "m.space.child", content, room)
    (shown,) = (await page(bob, top))["rooms"]

    assert shown["children_state"] == []


async def test_what_is_no_space_has_no_children(alice, bob):
    room, other = await alice.create(preset="public_chat"), await alice.create(preset="public_chat")
    await add(alice, room, other)

    assert await walk(bob, room) == [room]


async def test_rooms_that_are_unknown_or_private_are_left_out(alice, bob):
    top, private = await space(alice), await alice.create()
    await add(alice, top, private)
    await add(alice, top, "!elsewhere:example.org")
    await alice.set_state(top, "m.space.child", VIA, "no room ID")

    assert await walk(bob, top) == [top]
    assert await walk(alice, top) == [top, private]
    await alice.act(private, "invite", user_id=bob.user_id)
    assert await walk(bob, top) == [top, private]
    await bob.act(private, "join")
    assert await walk(bob, top) == [top, private]
    await bob.act(private, "leave")
    assert await walk(bob, top) == [top]


@pytest.mark.parametrize(
    ("version", "join_rule", "is_shown"),
    [("12", "public", True), ("12", "knock", True), ("12", "knock_restricted", True),
     ("12", "restricted", False), ("12", "invite", False), ("12", "private", False),
     ("12", "odd", False), ("6", "knock", False),
     ("9", "knock_restricted", False)],
)  # fmt: skip
async def test_a_room_shows_itself_by_its_join_rule(alice, bob, version, join_rule, is_shown):
    top = await space(alice)
    rule = {"type": "m.room.join_rules", "content": {"join_rule": join_rule}}
    room = await alice.create(room_version=version, initial_state=[rule])
    await add(alice, top, room)

    assert (await walk(bob, top) == [top, room]) is is_shown


async def test_a_restricted_room_shows_itself_to_those_who_may_join(alice, bob, carol):
    top, allowing = await space(alice), await alice.create(preset="public_chat")
    allow = [{"type": "m.room_membership", "room_id": allowing}]
    content = {"join_rule": "restricted", "allow": allow}
    room = await alice.create(initial_state=[{"type": "m.room.join_rules", "content": content}])
    await add(alice, top, room)
    await bob.act(allowing, "join")

    assert await walk(carol, top) == [top]
    shown = (await page(bob, top))["rooms"][1]
    assert (shown["room_id"], shown["allowed_room_ids"]) == (room, [allowing])
    await alice.act(allowing, "ban", user_id=bob.user_id)
    assert await walk(bob, top) == [top]


async def test_a_room_that_the_world_reads_shows_itself_to_everybody(alice, bob):
    visibility = {"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}
    top = await space(alice, preset="private_chat", initial_state=[visibility])
    await alice.act(top, "ban", user_id=bob.user_id)

    assert await walk(bob, top) == [top]


async def test_a_space_is_refused_to_those_who_may_not_see_it(alice, bob):
    private, public = await space(alice, preset="private_chat"), await space(alice)
    await alice.act(public, "ban", user_id=bob.user_id)

    for room in (private, public, "!nowhere:localhost", "nonsense"):
        assert await try_walk(bob, room) == FORBIDDEN


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=many", "max_depth=-1", "max_depth=deep", "suggested_only=yes",
     "from=nonsense", "from=%F0%9F%98%80", "suggested_only="],
)  # fmt: skip
async def test_odd_walks_are_refused(bob, tree, query):
    assert await try_walk(bob, tree["top"], query) == INVALID


async def test_a_walk_among_rooms_that_hide_ends_its_page_early(alice, bob, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.hierarchy.PAGE_LOOKS_MAX", 3)
    top, last = await space(alice), await alice.create(preset="public_chat")
    for _ in range(4):
        await add(alice, top, await alice.create(), order="a")
    await add(alice, top, last, order="b")
    first = await page(bob, top)
    second = await page(bob, top, f"from={first['next_batch']}")

    assert [one["room_id"] for one in first["rooms"]] == [top]
    assert [one["room_id"] for one in second["rooms"]] == [last]
    assert "next_batch" not in second


async def test_large_pages_and_large_events_are_bounded(alice, bob, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.hierarchy.PAGE_BYTES_MAX", 1)
    top = await space(alice)
    one, two = await alice.create(preset="public_chat"), await alice.create(preset="public_chat")
    await add(alice, top, one)
    await add(alice, top, two, odd="x" * 9_000)
    first = await page(bob, top)

    assert [room["room_id"] for room in first["rooms"]] == [top]
    assert [child["state_key"] for child in first["rooms"][0]["children_state"]] == [one]


async def test_a_walk_holds_no_more_rooms_than_it_may(alice, bob, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.hierarchy.WALK_ROOMS_MAX", 3)
    top = await space(alice)
    rooms = [await alice.create(preset="public_chat") for _ in range(4)]
    for number, room in enumerate(rooms):
        await add(alice, top, room, order=str(number))

    assert await walk(bob, top) == [top, *rooms[:2]]
