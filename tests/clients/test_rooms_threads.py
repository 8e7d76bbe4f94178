import pytest

from tests.doubles.relating import bundle, edit, get_v1, ids, react, reply, try_v1

FORBIDDEN = (403, "M_FORBIDDEN")
INVALID = (400, "M_INVALID_PARAM")


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


async def threads(user, room, query=""):
    return ids((await get_v1(user, room, f"threads{query}"))["chunk"])


async def test_threads_are_listed_by_their_latest_event(alice, bob, room):
    one, two, three = [await alice.send(room, str(number)) for number in range(3)]
    for root in (three, one, two, one):
        await reply(bob, room, root)
    await react(bob, room, three)

    answer = await get_v1(alice, room, "threads")
    assert ids(answer["chunk"]) == [one, two, three]
    assert answer.keys() == {"chunk"}
    assert [bundle(root)["m.thread"]["count"] for root in answer["chunk"]] == [2, 1, 1]
    assert answer["chunk"][0]["unsigned"]["membership"] == "join"


async def test_a_room_without_threads_lists_none(alice, room):
    await alice.send(room)

    assert await get_v1(alice, room, "threads") == {"chunk": []}


async def test_only_threads_that_one_took_part_in_are_listed_if_asked(alice, bob, carol, room):
    await carol.act(room, "join")
    hers, his = await alice.send(room), await bob.send(room)
    await reply(bob, room, hers)
    await reply(alice, room, his)
    other = await bob.send(room)
    await reply(bob, room, other)

    assert await threads(alice, room, "?include=participated") == [his, hers]
    assert await threads(bob, room, "?include=participated") == [other, his, hers]
    assert await threads(carol, room, "?include=participated") == []
    assert await threads(carol, room, "?include=all") == [other, his, hers]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_pages_give_every_thread_once(alice, room, limit):
    roots = []
    for _ in range(5):
        roots.append(await alice.send(room))
        await reply(alice, room, roots[-1])
        await reply(alice, room, roots[0])
    expected = [roots[0], *roots[:0:-1]]
    found, start = [], ""
    while True:
        page = await get_v1(alice, room, f"threads?limit={limit}{start}")
        assert len(page["chunk"]) <= limit
        found += ids(page["chunk"])
        if "next_batch" not in page:
            break
        start = f"&from={page['next_batch']}"

    assert found == expected


async def test_a_redacted_reply_does_not_lift_its_thread(alice, bob, room):
    one, two = await alice.send(room), await alice.send(room)
    await reply(bob, room, one)
    await reply(bob, room, two)
    last = await reply(bob, room, one)
    assert await threads(alice, room) == [one, two]
    await bob.redact(room, last)
    assert await threads(alice, room) == [two, one]


async def test_the_root_tells_its_edits_too(alice, room):
    root = await alice.send(room)
    await reply(alice, room, root)
    edited = await edit(alice, room, root, "better")

    (shown,) = (await get_v1(alice, room, "threads"))["chunk"]
    assert bundle(shown)["m.replace"]["event_id"] == edited


async def test_a_redacted_root_is_still_listed(alice, bob, room):
    root = await alice.send(room)
    await reply(bob, room, root)
    await alice.redact(room, root)

    (shown,) = (await get_v1(bob, room, "threads"))["chunk"]
    assert (shown["event_id"], shown["content"]) == (root, {})
    assert "redacted_because" in shown["unsigned"]


async def test_threads_whose_root_may_not_be_seen_are_not_listed(alice, carol):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    for _ in range(3):
        await reply(alice, room, await alice.send(room))
    hidden = await alice.send(room)
    await carol.act(room, "join")
    seen = await alice.send(room)
    for root in (seen, hidden):
        await reply(alice, room, root)

    assert await threads(carol, room, "?limit=1") == [seen]
    assert await threads(carol, room) == [seen]


async def test_who_left_sees_the_threads_as_they_were(alice, bob, room):
    one, two = await alice.send(room), await alice.send(room)
    await reply(alice, room, one)
    await reply(alice, room, two)
    await bob.act(room, "leave")
    await reply(alice, room, one)
    await reply(alice, room, await alice.send(room))

    assert await threads(bob, room) == [two, one]
    assert (await threads(alice, room))[1:] == [one, two]


@pytest.mark.parametrize(
    "query", ["include=some", "limit=0", "limit=-1", "limit=x", "from=nonsense", "from=p"]
)
async def test_threads_that_cannot_be_asked_for_are_refused(alice, room, query):
    assert await try_v1(alice, room, f"threads?{query}") == INVALID


async def test_strangers_see_no_threads(alice, carol, room):
    await reply(alice, room, await alice.send(room))

    assert await try_v1(carol, room, "threads") == FORBIDDEN
    assert await try_v1(carol, "!nowhere:localhost", "threads") == FORBIDDEN
