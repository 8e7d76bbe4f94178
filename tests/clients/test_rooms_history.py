from urllib.parse import quote

import orjson
import pytest

from tests.doubles.relating import edit, react, reply

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")
INVALID = (400, "M_INVALID_PARAM")


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


def path_of(room, rest):
    return f"/rooms/{quote(room)}/{rest}"


def filtered(**wanted):
    return f"dir=f&limit=100&filter={quote(orjson.dumps(wanted))}"


async def visible_from(alice, visibility):
    """Make a room whose timeline is seen as `visibility` says."""
    content = {"history_visibility": visibility}
    initial = [{"type": "m.room.history_visibility", "content": content}]
    return await alice.create(preset="public_chat", initial_state=initial)


async def send_numbers(user, room, numbers):
    for number in numbers:
        await user.send(room, str(number))


async def pages(user, room, direction, limit, **more):
    """Read page by page to the end; returns the event IDs."""
    found, token = [], more.get("start")
    for _ in range(50):
        start = "" if token is None else f"&from={token}"
        page = await user.messages(room, f"dir={direction}&limit={limit}{start}{more.get('query', '')}")
        assert len(page["chunk"]) <= limit
        found += [event["event_id"] for event in page["chunk"]]
        token = page.get("end")
        if token is None:
            return found
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
async def test_pages_in_both_directions_give_every_event_once(alice, bob, room, limit):
    await send_numbers(bob, room, range(4))
    whole = (await alice.messages(room, "dir=f&limit=1000"))["chunk"]
    forwards = await pages(alice, room, "f", limit)
    backwards = await pages(alice, room, "b", limit)

    assert whole[0]["type"] == "m.room.create"
    assert forwards == [event["event_id"] for event in whole]
    assert backwards == forwards[::-1]


async def test_a_token_leads_both_ways(alice, room):
    await send_numbers(alice, room, range(6))
    first = await alice.messages(room, "dir=b&limit=2")
    back = await alice.texts(room, f"dir=b&limit=2&from={first['end']}")
    forth = await alice.texts(room, f"dir=f&limit=2&from={first['end']}")

    assert (back, forth) == (["3", "2"], ["4", "5"])
    assert await alice.texts(room, f"dir=f&limit=2&from={first['start']}") == []


async def test_reading_stops_where_asked(alice, room):
    await send_numbers(alice, room, range(6))
    middle = (await alice.messages(room, "dir=b&limit=3"))["end"]

    assert await alice.texts(room, f"dir=b&limit=100&to={middle}") == ["5", "4", "3"]
    assert await alice.texts(room, f"dir=f&limit=100&to={middle}") == ["0", "1", "2"]


async def test_the_tokens_of_sync_lead_into_the_timeline(alice, room):
    await send_numbers(alice, room, range(12))
    synced = await alice.get("/sync?timeout=0")
    await send_numbers(alice, room, range(12, 15))
    timeline = synced["rooms"]["join"][room]["timeline"]
    first = int(timeline["events"][0]["content"]["body"])

    assert timeline["limited"]
    before = await alice.texts(room, f"dir=b&limit=100&from={timeline['prev_batch']}")
    assert before == [str(number) for number in range(first - 1, -1, -1)]
    after = await alice.texts(room, f"dir=f&limit=100&from={synced['next_batch']}")
    assert after == ["12", "13", "14"]
    older = await alice.texts(room, f"dir=b&limit=100&from={synced['next_batch']}")
    assert older == [str(number) for number in range(11, -1, -1)]


async def test_new_events_do_not_move_older_pages(alice, room):
    await send_numbers(alice, room, range(4))
    first = await alice.messages(room, "dir=b&limit=2")
    await send_numbers(alice, room, range(4, 8))

    assert await alice.texts(room, f"dir=b&limit=2&from={first['end']}") == ["1", "0"]


async def test_a_filter_chooses_by_type_sender_and_url(alice, bob, room):
    await alice.send(room, "from alice")
    await bob.send(room, "from bob")
    await bob.send(room, "other", event_type="org.example")
    await alice.try_send(room, {"body": "picture", "url": "mxc://localhost/a"})
    text = ["m.room.message"]

    assert await alice.texts(room, filtered(senders=[bob.user_id])) == ["from bob"]
    assert await alice.texts(room, filtered(not_senders=[bob.user_id])) == ["from alice", "picture"]
    assert await alice.texts(room, filtered(types=text, contains_url=True)) == ["picture"]
    assert await alice.texts(room, filtered(types=text, contains_url=False)) == ["from alice", "from bob"]
    assert await alice.texts(room, filtered(not_types=["m.room.*"])) == []
    assert await alice.texts(room, filtered(not_rooms=[room])) == []
    chunk = (await alice.messages(room, filtered(types=["org.*"])))["chunk"]
    assert [event["type"] for event in chunk] == ["org.example"]
    assert len((await alice.messages(room, filtered(limit=2)))["chunk"]) == 2


async def test_a_filter_that_lets_little_through_loses_nothing(alice, bob, room):
    for number in range(30):
        await (bob if number % 10 == 0 else alice).send(room, str(number))
    wanted = quote(orjson.dumps({"types": ["m.room.message"], "senders": [bob.user_id]}))
    found = await pages(alice, room, "b", 1, query=f"&filter={wanted}")

    bodies = [(await alice.event(room, event_id))["content"]["body"] for event_id in found]
    assert bodies == ["20", "10", "0"]


async def test_lazy_loading_brings_the_senders_along(alice, bob, room):
    await bob.send(room)
    await alice.send(room)
    page = await alice.messages(room, filtered(lazy_load_members=True, senders=[bob.user_id]))

    assert [event["state_key"] for event in page["state"]] == [bob.user_id]
    assert "state" not in await alice.messages(room, "dir=b&limit=1")


@pytest.mark.parametrize(
    ("visibility", "seen"),
    [
        ("shared", ["before", "invited", "joined"]),
        ("world_readable", ["before", "invited", "joined"]),
        ("invited", ["invited", "joined"]),
        ("joined", ["joined"]),
    ],
)
async def test_who_joins_later_sees_what_the_room_lets_them(alice, bob, visibility, seen):
    room = await visible_from(alice, visibility)
    ids = {"before": await alice.send(room, "before")}
    await alice.act(room, "invite", user_id=bob.user_id)
    ids["invited"] = await alice.send(room, "invited")
    await bob.act(room, "join")
    ids["joined"] = await alice.send(room, "joined")

    assert await bob.texts(room, "dir=f&limit=100") == seen
    assert await bob.texts(room, "dir=b&limit=100") == seen[::-1]
    for name, event_id in ids.items():
        status, answer = await bob.try_("GET", path_of(room, f"event/{quote(event_id)}"))
        assert (status, answer if status == 404 else "") == ((200, "") if name in seen else NOT_FOUND)


@pytest.mark.parametrize("action", ["leave", "kick", "ban"])
@pytest.mark.parametrize("visibility", ["shared", "joined"])
async def test_who_is_gone_sees_what_was_before(alice, bob, action, visibility):
    room = await visible_from(alice, visibility)
    await bob.act(room, "join")
    before = await alice.send(room, "before")
    await (bob.act(room, "leave") if action == "leave" else alice.act(room, action, user_id=bob.user_id))
    after = await alice.send(room, "after")

    assert await bob.texts(room, "dir=b&limit=100") == ["before"]
    assert await bob.texts(room, "dir=f&limit=100") == ["before"]
    token = (await alice.messages(room, "dir=b&limit=1"))["start"]
    assert await bob.texts(room, f"dir=b&limit=100&from={token}") == ["before"]
    assert (await bob.event(room, before))["content"]["body"] == "before"
    assert await bob.try_("GET", path_of(room, f"event/{quote(after)}")) == NOT_FOUND


async def test_who_comes_back_sees_the_gap_only_if_history_is_shared(alice, bob):
    for visibility, seen in [("shared", ["1", "2", "3"]), ("joined", ["1", "3"])]:
        room = await visible_from(alice, visibility)
        await bob.act(room, "join")
        await alice.send(room, "1")
        await bob.act(room, "leave")
        await alice.send(room, "2")
        await bob.act(room, "join")
        await alice.send(room, "3")
        assert await bob.texts(room, "dir=f&limit=100") == seen


async def test_strangers_see_no_event(alice, carol, room):
    event_id = await alice.send(room)

    assert await carol.try_("GET", path_of(room, f"event/{quote(event_id)}")) in (FORBIDDEN, NOT_FOUND)
    assert await alice.try_("GET", path_of(room, "event/$nothing")) == NOT_FOUND


async def test_an_event_is_read_in_its_own_room_only(alice, room):
    other_room = await alice.create()
    event_id = await alice.send(other_room)

    assert await alice.try_("GET", path_of(room, f"event/{quote(event_id)}")) == NOT_FOUND


async def test_members_are_read_by_membership_and_as_they_were(alice, bob, carol, room):
    then = (await alice.messages(room, "dir=b&limit=1"))["start"]
    await bob.act(room, "leave")
    await alice.act(room, "invite", user_id=carol.user_id)

    async def members(query=""):
        chunk = (await alice.get(path_of(room, f"members{query}")))["chunk"]
        return {event["state_key"]: event["content"]["membership"] for event in chunk}

    everybody = {alice.user_id: "join", bob.user_id: "leave", carol.user_id: "invite"}
    assert await members() == everybody
    assert await members("?membership=join") == {alice.user_id: "join"}
    assert set(await members("?not_membership=leave")) == {alice.user_id, carol.user_id}
    assert await members(f"?at={then}") == {alice.user_id: "join", bob.user_id: "join"}
    assert await members(f"?at={(await alice.get('/sync?timeout=0'))['next_batch']}") == everybody


async def test_who_left_reads_the_members_as_they_were_then(alice, bob, carol, room):
    await bob.act(room, "leave")
    await carol.act(room, "join")
    now = (await alice.get("/sync?timeout=0"))["next_batch"]

    for query in ("", f"?at={now}"):
        chunk = (await bob.get(path_of(room, f"members{query}")))["chunk"]
        assert {event["state_key"] for event in chunk} == {alice.user_id, bob.user_id}
    assert await bob.try_("GET", path_of(room, "joined_members")) == FORBIDDEN


@pytest.mark.parametrize(
    "query",
    [
        "",
        "dir=x",
        "dir=b&from=nonsense",
        "dir=b&to=p",
        "dir=b&limit=many",
        "dir=b&limit=-1",
        "dir=b&from=p" + "9" * 25,
    ],
)
async def test_a_page_that_makes_no_sense_is_refused(alice, room, query):
    status, errcode = await alice.try_("GET", path_of(room, f"messages?{query}"))

    assert (status, errcode) in [INVALID, (400, "M_MISSING_PARAM")]


@pytest.mark.parametrize("text", ["{", "[]", '{"types":"m.room.message"}', '{"limit":"1"}'])
async def test_a_filter_that_is_none_is_refused(alice, room, text):
    status, errcode = await alice.try_("GET", path_of(room, f"messages?dir=b&filter={quote(text)}"))

    assert (status, errcode in {"M_BAD_JSON", "M_NOT_JSON", "M_INVALID_PARAM"}) == (400, True)


@pytest.mark.parametrize("query", ["membership=x", "not_membership=x", "at=nonsense"])
async def test_members_that_cannot_be_asked_for_are_refused(alice, room, query):
    assert await alice.try_("GET", path_of(room, f"members?{query}")) == INVALID


async def test_a_filter_chooses_by_what_points_at_an_event(alice, bob, room):
    plain, threaded, edited, both = [
        await alice.send(room, text) for text in ("plain", "thread", "edit", "both")
    ]
    await reply(bob, room, threaded)
    await edit(alice, room, edited, "better")
    await reply(alice, room, both)
    gone = await react(bob, room, plain)
    await react(bob, room, both)

    async def found(**wanted):
        return await alice.texts(room, filtered(types=["m.room.message"], **wanted))

    assert await found(related_by_rel_types=["m.thread"]) == ["thread", "both"]
    assert await found(related_by_rel_types=["m.thread", "m.replace"]) == ["thread", "edit", "both"]
    assert await found(related_by_senders=[bob.user_id]) == ["plain", "thread", "both"]
    # One and the same event has to be of that kind and by that sender.
    assert await found(related_by_senders=[bob.user_id], related_by_rel_types=["m.thread"]) == ["thread"]
    assert await found(related_by_senders=["@nobody:localhost"]) == []
    assert await found(related_by_rel_types=[]) == []
    await bob.redact(room, gone)
    assert await found(related_by_senders=[bob.user_id]) == ["thread", "both"]
    wanted = quote(orjson.dumps({"related_by_rel_types": ["m.thread", "m.replace"]}))
    assert await pages(alice, room, "b", 1, query=f"&filter={wanted}") == [both, edited, threaded]


async def test_a_page_of_nothing_leads_nowhere(alice, room):
    await send_numbers(alice, room, range(3))
    page = await alice.messages(room, "dir=b&limit=0")

    assert (page["chunk"], page["end"]) == ([], page["start"])
    assert await alice.texts(room, f"dir=b&limit=9&from={page['end']}") == ["2", "1", "0"]


async def test_the_last_page_says_that_it_is_the_last(alice, room):
    whole = (await alice.messages(room, "dir=f&limit=1000"))["chunk"]

    assert "end" in await alice.messages(room, f"dir=b&limit={len(whole) - 1}")
    assert "end" not in await alice.messages(room, f"dir=b&limit={len(whole)}")


@pytest.mark.parametrize("visibility", ["joined", "shared"])
async def test_what_a_state_event_replaced_is_told_to_those_who_may_see_it(alice, carol, visibility):
    room = await visible_from(alice, visibility)
    before = await alice.set_state(room, "m.room.topic", {"topic": "before"})
    await carol.act(room, "join")
    after = await alice.set_state(room, "m.room.topic", {"topic": "after"})

    unsigned = (await carol.event(room, after))["unsigned"]
    assert unsigned["replaces_state"] == before
    if visibility == "joined":
        assert not {"prev_content", "prev_sender"} & unsigned.keys()
    else:
        assert (unsigned["prev_content"], unsigned["prev_sender"]) == ({"topic": "before"}, alice.user_id)
    assert (await alice.event(room, after))["unsigned"]["prev_content"] == {"topic": "before"}


async def test_messages_of_ignored_users_are_left_out_and_their_state_is_not(alice, bob, room):
    await bob.send(room, "unheard")
    await alice.send(room, "heard")
    path = f"/user/{quote(alice.user_id)}/account_data/m.ignored_user_list"
    await alice.ask("PUT", path, {"ignored_users": {bob.user_id: {}}})

    assert await alice.texts(room) == ["heard"]
    assert await bob.texts(room) == ["heard", "unheard"]
    members = [event["state_key"] for event in (await alice.messages(room))["chunk"] if "state_key" in event]
    assert bob.user_id in members


async def test_a_redacted_event_says_by_what(alice, bob, room):
    event_id = await bob.send(room, "regrettable", transaction_id="mine")
    redaction = await bob.redact(room, event_id, reason="regret")

    for user, transaction_id in ((alice, None), (bob, "mine")):
        for event in (await user.event(room, event_id), (await user.messages(room))["chunk"][1]):
            assert (event["event_id"], event["content"]) == (event_id, {})
            assert event["unsigned"]["redacted_because"]["event_id"] == redaction
            assert event["unsigned"]["redacted_because"]["content"]["reason"] == "regret"
            assert event["unsigned"].get("transaction_id") == transaction_id
