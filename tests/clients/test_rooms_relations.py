import asyncio
from urllib.parse import quote

import pytest

from tests.doubles.relating import edit, get_v1, ids, react, relate, relations, reply, try_v1

NOT_FOUND = (404, "M_NOT_FOUND")
INVALID = (400, "M_INVALID_PARAM")


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


async def test_what_points_at_an_event_is_read_the_latest_first(alice, bob, room):
    parent = await alice.send(room)
    other = await alice.send(room)
    thumb = await react(bob, room, parent)
    edited = await edit(alice, room, parent, "better")
    await react(bob, room, other)
    heart = await react(alice, room, parent, "❤")

    answer = await relations(alice, room, parent)
    assert ids(answer["chunk"]) == [heart, edited, thumb]
    assert answer.keys() == {"chunk"}
    assert answer["chunk"][2]["content"]["m.relates_to"]["key"] == "👍"
    assert answer["chunk"][0]["room_id"] == room
    assert ids((await relations(alice, room, parent, query="?dir=f"))["chunk"]) == [thumb, edited, heart]


async def test_kind_and_type_choose_among_what_points_at_an_event(alice, room):
    parent = await alice.send(room)
    thumb = await react(alice, room, parent)
    odd = await relate(alice, room, parent, "m.annotation", event_type="org.example.vote")
    edited = await edit(alice, room, parent, "better")

    async def found(rest):
        return ids((await relations(alice, room, parent, rest))["chunk"])

    assert await found("/m.annotation") == [odd, thumb]
    assert await found("/m.replace") == [edited]
    assert await found("/m.annotation/org.example.vote") == [odd]
    assert await found("/m.annotation/m.reaction") == [thumb]
    assert await found("/m.annotation/org.example.never") == []
    assert await found("/org.example.nothing") == []


@pytest.mark.parametrize("direction", ["b", "f"])
@pytest.mark.parametrize("limit", [1, 2, 5, 6, 100])
async def test_pages_give_every_child_once(alice, room, direction, limit):
    parent = await alice.send(room)
    children = []
    for number in range(6):
        children.append(await react(alice, room, parent, str(number)))
        await alice.send(room)
    found, token = [], None
    while True:
        start = "" if token is None else f"&from={token}"
        page = await relations(alice, room, parent, query=f"?dir={direction}&limit={limit}{start}")
        assert len(page["chunk"]) <= limit
        assert page.get("prev_batch") == token
        found += ids(page["chunk"])
        token = page.get("next_batch")
        if token is None:
            break
        assert len(page["chunk"]) == limit

    assert found == (children if direction == "f" else children[::-1])


async def test_tokens_of_sync_and_messages_bound_the_children(alice, room):
    parent = await alice.send(room)
    first = await react(alice, room, parent, "1")
    between = (await alice.get("/sync?timeout=0"))["next_batch"]
    second = await react(alice, room, parent, "2")
    end = (await alice.messages(room, "dir=b&limit=1"))["end"]  # before the second

    async def found(query):
        return ids((await relations(alice, room, parent, query=query))["chunk"])

    assert await found(f"?from={between}") == [first]
    assert await found(f"?dir=f&from={between}") == [second]
    assert await found(f"?to={between}") == [second]
    assert await found(f"?from={end}") == [first]
    assert await found(f"?dir=f&to={end}") == [first]


async def test_recursion_follows_the_children_of_children(alice, room):
    parent = await alice.send(room)
    replies = await reply(alice, room, parent)
    edited = await edit(alice, room, replies, "better")
    mark = await react(alice, room, edited)
    too_deep = await react(alice, room, mark)

    answer = await relations(alice, room, parent, query="?recurse=true")
    assert ids(answer["chunk"]) == [mark, edited, replies]
    assert too_deep not in ids(answer["chunk"])
    assert answer["recursion_depth"] == 3
    forwards = await relations(alice, room, parent, query="?recurse=true&dir=f&limit=2")
    assert ids(forwards["chunk"]) == [replies, edited]
    rest = await relations(alice, room, parent, query=f"?recurse=true&dir=f&from={forwards['next_batch']}")
    assert ids(rest["chunk"]) == [mark]
    flat = await relations(alice, room, parent, query="?recurse=false")
    assert (ids(flat["chunk"]), flat["recursion_depth"]) == ([replies], 1)
    assert "recursion_depth" not in await relations(alice, room, parent)


async def test_recursion_goes_through_nothing_that_was_not_asked_for(alice, room):
    parent = await alice.send(room)
    replies = await reply(alice, room, parent)
    thumb = await react(alice, room, replies)
    direct = await react(alice, room, parent)

    answer = await relations(alice, room, parent, "/m.annotation", "?recurse=true")
    assert ids(answer["chunk"]) == [direct]
    assert thumb not in ids(answer["chunk"])


async def test_recursion_ends_in_circles(alice, bob, room):
    """Event IDs are hashes, so a circle takes a lie: two events that name each other."""
    parent = await alice.send(room)
    child = await relate(alice, room, parent, "org.example.circle")
    back = await relate(alice, room, child, "org.example.circle")
    await alice.server.database.execute(
        "UPDATE relations SET parent_id = %b WHERE event_id = %b", back, child
    )

    answer = await relations(alice, room, child, query="?recurse=true")
    assert ids(answer["chunk"]) == [back]


async def test_what_is_redacted_points_at_nothing(alice, bob, room):
    parent = await alice.send(room)
    thumb = await react(bob, room, parent)
    kept = await react(bob, room, parent, "kept")
    await bob.redact(room, thumb)

    assert ids((await relations(alice, room, parent))["chunk"]) == [kept]
    assert ids((await relations(alice, room, parent, "/m.annotation/m.reaction"))["chunk"]) == [kept]


async def test_the_children_of_what_is_redacted_stay(alice, bob, room):
    parent = await alice.send(room)
    thumb = await react(bob, room, parent)
    await alice.redact(room, parent)

    assert ids((await relations(alice, room, parent))["chunk"]) == [thumb]


async def test_children_are_told_with_what_points_at_them(alice, room):
    parent = await alice.send(room)
    replies = await reply(alice, room, parent)
    edited = await edit(alice, room, replies, "better")

    (child,) = (await relations(alice, room, parent))["chunk"]
    assert child["unsigned"]["m.relations"]["m.replace"]["event_id"] == edited
    assert child["unsigned"]["age"] >= 0
    assert child["unsigned"]["membership"] == "join"
    assert "transaction_id" in child["unsigned"]


@pytest.mark.parametrize("visibility", ["joined", "invited"])
async def test_children_that_may_not_be_seen_are_left_out(alice, bob, visibility):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": visibility}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    await bob.act(room, "join")
    parent = await alice.send(room)
    before = await react(alice, room, parent, "1")
    await bob.act(room, "leave")
    await react(alice, room, parent, "2")
    await react(alice, room, parent, "3")
    await bob.act(room, "join")
    after = await react(alice, room, parent, "4")

    assert ids((await relations(bob, room, parent))["chunk"]) == [after, before]
    first = await relations(bob, room, parent, query="?limit=1")
    assert ids(first["chunk"]) == [after]
    second = await relations(bob, room, parent, query=f"?limit=1&from={first['next_batch']}")
    assert (ids(second["chunk"]), "next_batch" in second) == ([before], False)


async def test_who_left_sees_the_children_until_then(alice, bob, room):
    parent = await alice.send(room)
    before = await react(alice, room, parent, "1")
    await bob.act(room, "leave")
    await react(alice, room, parent, "2")

    assert ids((await relations(bob, room, parent))["chunk"]) == [before]


async def test_relations_of_what_is_not_there_or_not_for_you_are_not_found(alice, carol, room):
    parent = await alice.send(room)
    elsewhere = await alice.create()

    assert await try_v1(alice, room, "relations/$nothing") == NOT_FOUND
    assert await try_v1(alice, elsewhere, f"relations/{quote(parent, safe='')}") == NOT_FOUND
    assert await try_v1(carol, room, f"relations/{quote(parent, safe='')}") == NOT_FOUND
    assert await try_v1(alice, "!nowhere:localhost", f"relations/{quote(parent, safe='')}") == NOT_FOUND


async def test_what_was_sent_before_one_joined_has_no_children_for_one(alice, carol):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    parent = await alice.send(room)
    await carol.act(room, "join")
    await react(alice, room, parent)

    assert await try_v1(carol, room, f"relations/{quote(parent, safe='')}") == NOT_FOUND


@pytest.mark.parametrize(
    "query",
    ["dir=x", "from=nonsense", "to=p", "limit=many", "limit=0", "limit=-1", "recurse=perhaps"],
)
async def test_relations_that_cannot_be_asked_for_are_refused(alice, room, query):
    parent = await alice.send(room)

    assert await try_v1(alice, room, f"relations/{quote(parent, safe='')}?{query}") == INVALID


@pytest.mark.parametrize(
    "relates_to",
    [
        None, 7, [], "x", {}, {"event_id": 7, "rel_type": "m.thread"}, {"event_id": "$a", "rel_type": 7},
        {"event_id": "$a" * 300, "rel_type": "m.thread"}, {"event_id": "$a", "rel_type": "x" * 300},
        {"event_id": "a", "rel_type": "m.thread"}, {"event_id": "$a\0", "rel_type": "m.thread"},
        {"event_id": "$a", "rel_type": ""}, {"rel_type": "m.thread"}, {"m.in_reply_to": {"event_id": "$a"}},
    ],
)  # fmt: skip
async def test_a_relation_that_is_none_stops_no_message(alice, room, relates_to):
    content = {"msgtype": "m.text", "body": "odd", "m.relates_to": relates_to}
    path = alice.send_path(room, None, "m.room.message")
    event_id = (await alice.ask("PUT", path, content))["event_id"]

    assert (await alice.event(room, event_id))["content"] == content
    assert await alice.server.database.fetch("SELECT 1 FROM relations") == []


async def test_a_relation_survives_a_restart_and_costs_nothing_for_others(alice, room):
    parent = await alice.send(room)
    thumb = await react(alice, room, parent)
    await alice.server.restart()

    assert ids((await relations(alice, room, parent))["chunk"]) == [thumb]
    assert await alice.server.database.fetch("SELECT count(*) FROM relations") == [(1,)]


async def test_a_state_event_may_point_at_another_and_be_pointed_at(alice, room):
    topic = await alice.set_state(room, "m.room.topic", {"topic": "old"})
    thumb = await react(alice, room, topic)
    content = {"m.relates_to": {"rel_type": "m.reference", "event_id": topic}}
    state = await alice.set_state(room, "org.example.note", content)

    assert ids((await relations(alice, room, topic))["chunk"]) == [state, thumb]
    assert "m.relations" not in (await alice.event(room, topic))["unsigned"]


async def test_a_child_in_another_room_does_not_count(alice, room):
    elsewhere = await alice.create()
    parent = await alice.send(room)
    await reply(alice, elsewhere, parent)

    assert (await relations(alice, room, parent))["chunk"] == []
    assert "m.relations" not in (await alice.event(room, parent))["unsigned"]
    assert (await get_v1(alice, room, "threads"))["chunk"] == []
    assert (await get_v1(alice, elsewhere, "threads"))["chunk"] == []


async def test_nobody_reacts_the_same_way_twice(alice, bob, room):
    parent, other = await alice.send(room), await alice.send(room)
    content = {"m.relates_to": {"rel_type": "m.annotation", "event_id": parent, "key": "👍"}}
    path = bob.send_path(room, "same", "m.reaction")
    first = await bob.ask("PUT", path, content)

    assert await bob.ask("PUT", path, content) == first  # a repetition is no second time
    again = bob.send_path(room, None, "m.reaction")
    assert await bob.try_("PUT", again, content) == (400, "M_DUPLICATE_ANNOTATION")
    await react(bob, room, parent, "❤")
    await react(bob, room, other)
    await react(alice, room, parent)
    await bob.ask("PUT", bob.send_path(room, None, "org.example.reaction"), content)
    await bob.server.restart()
    assert await bob.ask("PUT", path, content) == first
    assert await bob.try_("PUT", again, content) == (400, "M_DUPLICATE_ANNOTATION")
    await bob.redact(room, first["event_id"])
    await react(bob, room, parent)


async def test_a_thread_begins_at_no_child(alice, bob, room):
    root = await alice.send(room)
    child = await reply(alice, room, root)
    edited = await edit(alice, room, root, "better")
    for parent in (child, edited, child):
        content = {"m.relates_to": {"rel_type": "m.thread", "event_id": parent}}
        path = bob.send_path(room, None, "m.room.message")
        assert await bob.try_("PUT", path, content) == (400, "M_UNKNOWN")
    # A rich reply is nobody's child.
    content = {"m.relates_to": {"m.in_reply_to": {"event_id": root}}}
    rich = (await bob.ask("PUT", bob.send_path(room, None, "m.room.message"), content))["event_id"]
    await reply(bob, room, rich)
    await reply(bob, room, rich)
    await reply(bob, room, "$from_elsewhere")


async def test_who_is_not_in_the_room_is_told_that_and_nothing_of_relations(alice, carol, room):
    child = await reply(alice, room, await alice.send(room))
    content = {"m.relates_to": {"rel_type": "m.thread", "event_id": child}}

    for where in (room, "!nowhere:localhost"):
        path = carol.send_path(where, None, "m.room.message")
        assert await carol.try_("PUT", path, content) == (403, "M_FORBIDDEN")


async def test_a_crowd_that_may_not_be_seen_does_not_end_a_page(alice, bob):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    await bob.act(room, "join")
    parent = await alice.send(room)
    seen = await react(alice, room, parent, "seen")
    await bob.act(room, "leave")
    await asyncio.gather(*[react(alice, room, parent, str(number)) for number in range(60)])
    await bob.act(room, "join")

    page = await relations(bob, room, parent, query="?limit=1")
    assert (ids(page["chunk"]), "next_batch" in page) == ([seen], False)


@pytest.mark.parametrize("rest", ["%00", "m.thread/%00", "%F0%9F%91%8D", "m.thread/" + "x" * 5000])
async def test_odd_kinds_and_types_lead_to_nothing(alice, room, rest):
    parent = await alice.send(room)
    await reply(alice, room, parent)

    status, answer = await try_v1(alice, room, f"relations/{quote(parent, safe='')}/{rest}")
    assert (status, answer) in [(200, {"chunk": []}), INVALID]


async def test_who_looks_into_a_room_that_all_may_read_sees_what_is_there(alice, carol):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "world_readable"}}]
    room = await alice.create(initial_state=initial)
    root = await alice.send(room)
    answer = await reply(alice, room, root)

    assert ids((await relations(carol, room, root))["chunk"]) == [answer]
    assert ids((await get_v1(carol, room, "threads"))["chunk"]) == [root]
    shown = await carol.event(room, root)
    thread = shown["unsigned"]["m.relations"]["m.thread"]
    assert (thread["count"], thread["current_user_participated"]) == (1, False)
    assert shown["unsigned"]["membership"] == "leave"
