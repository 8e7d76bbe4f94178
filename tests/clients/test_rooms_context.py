from urllib.parse import quote

import orjson
import pytest

from tests.doubles.relating import get_v1, ids, try_v1

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")
INVALID = (400, "M_INVALID_PARAM")


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


def context_path(room, event_id, query=""):
    return f"/rooms/{quote(room)}/context/{quote(event_id, safe='')}{query}"


def filtered(**wanted):
    return f"filter={quote(orjson.dumps(wanted))}"


def bodies(events):
    return [event["content"].get("body") for event in events]


async def send_numbers(user, room, count):
    return [await user.send(room, str(number)) for number in range(count)]


async def test_an_event_is_shown_with_what_surrounds_it(alice, bob, room):
    sent = await send_numbers(bob, room, 9)

    context = await alice.get(context_path(room, sent[4], "?limit=4"))
    assert context["event"]["event_id"] == sent[4]
    assert ids(context["events_before"]) == [sent[3], sent[2]]
    assert ids(context["events_after"]) == [sent[5], sent[6]]
    assert context["event"]["room_id"] == room
    assert context["event"]["unsigned"]["age"] >= 0
    # The tokens go on from either end.
    assert await alice.texts(room, f"dir=b&limit=2&from={context['start']}") == ["1", "0"]
    assert await alice.texts(room, f"dir=f&limit=9&from={context['end']}") == ["7", "8"]


@pytest.mark.parametrize(("limit", "before", "after"), [(0, 0, 0), (1, 0, 1), (2, 1, 1), (5, 2, 3)])
async def test_the_limit_counts_both_sides(alice, room, limit, before, after):
    sent = await send_numbers(alice, room, 9)

    context = await alice.get(context_path(room, sent[4], f"?limit={limit}"))
    assert ids(context["events_before"]) == sent[4 - before : 4][::-1]
    assert ids(context["events_after"]) == sent[5 : 5 + after]


async def test_what_is_missing_on_one_side_is_made_up_for_at_the_end(alice, room):
    sent = await send_numbers(alice, room, 4)
    create = (await alice.messages(room, "dir=f&limit=1"))["chunk"][0]["event_id"]

    last = await alice.get(context_path(room, sent[3], "?limit=4"))
    assert (ids(last["events_before"]), last["events_after"]) == ([sent[2], sent[1]], [])
    first = await alice.get(context_path(room, create, "?limit=4"))
    assert first["events_before"] == []
    assert len(first["events_after"]) == 4


async def test_the_state_is_that_of_the_last_event_shown(alice, room):
    await alice.set_state(room, "m.room.topic", {"topic": "then"})
    sent = await send_numbers(alice, room, 3)
    await alice.set_state(room, "m.room.topic", {"topic": "now"})

    def topic(context):
        return [event["content"]["topic"] for event in context["state"] if event["type"] == "m.room.topic"]

    assert topic(await alice.get(context_path(room, sent[0], "?limit=2"))) == ["then"]
    assert topic(await alice.get(context_path(room, sent[0], "?limit=50"))) == ["now"]


async def test_members_are_loaded_lazily_if_asked(alice, bob, carol, room):
    await carol.act(room, "join")
    sent = await bob.send(room)

    async def members(query):
        state = (await alice.get(context_path(room, sent, query)))["state"]
        return {event["state_key"] for event in state if event["type"] == "m.room.member"}

    assert await members("?limit=0") == {alice.user_id, bob.user_id, carol.user_id}
    assert await members(f"?limit=0&{filtered(lazy_load_members=True)}") == {bob.user_id}


async def test_the_filter_holds_for_what_surrounds_the_event_and_not_for_the_event(alice, bob, room):
    for number in range(3):
        await bob.send(room, f"bob {number}")
    sent = await alice.send(room, "middle")
    for number in range(3, 6):
        await alice.send(room, "alice")
        await bob.send(room, f"bob {number}")

    query = f"?limit=4&{filtered(senders=[bob.user_id], types=['m.room.message'])}"
    context = await alice.get(context_path(room, sent, query))
    assert context["event"]["event_id"] == sent
    assert bodies(context["events_before"]) == ["bob 2", "bob 1"]
    assert bodies(context["events_after"]) == ["bob 3", "bob 4"]
    assert context["state"] == []


async def test_only_what_may_be_seen_is_shown(alice, bob):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    hidden = await alice.send(room, "hidden")
    await bob.act(room, "join")
    sent = await alice.send(room, "seen")
    await bob.act(room, "leave")
    await alice.send(room, "after")

    context = await bob.get(context_path(room, sent, "?limit=50"))
    assert "hidden" not in bodies(context["events_before"])
    assert "after" not in bodies(context["events_after"])
    assert context["events_after"][-1]["content"]["membership"] == "leave"
    assert await bob.try_("GET", context_path(room, hidden)) == NOT_FOUND


async def test_the_context_of_what_is_not_there_or_not_for_you_is_refused(alice, carol, room):
    sent = await alice.send(room)
    elsewhere = await alice.create()

    assert await alice.try_("GET", context_path(room, "$nothing")) == NOT_FOUND
    assert await alice.try_("GET", context_path(elsewhere, sent)) == NOT_FOUND
    assert await carol.try_("GET", context_path(room, sent)) == FORBIDDEN


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "filter={", "filter=%7B%22limit%22%3A-1%7D"])
async def test_a_context_that_cannot_be_asked_for_is_refused(alice, room, query):
    sent = await alice.send(room)
    status, errcode = await alice.try_("GET", context_path(room, sent, f"?{query}"))

    assert (status, errcode) in [INVALID, (400, "M_BAD_JSON")]


async def at_times(alice, room, times_ms):
    """Send messages and pretend that they were sent at these times."""
    sent = []
    for time_ms in times_ms:
        event_id = await alice.send(room, str(time_ms))
        row = await alice.server.database.fetch_one("SELECT json FROM events WHERE event_id = %b", event_id)
        pdu = orjson.loads(row[0]) | {"origin_server_ts": time_ms}
        json = orjson.dumps(pdu, option=orjson.OPT_SORT_KEYS)
        await alice.server.database.execute("UPDATE events SET json = %b WHERE event_id = %b", json, event_id)
        sent.append(event_id)
    return sent


async def moment(user, room, ts, direction):
    status, answer = await try_v1(user, room, f"timestamp_to_event?ts={ts}&dir={direction}")
    return answer["event_id"] if status == 200 else (status, answer)


async def test_the_event_closest_to_a_time_is_found(alice, room):
    now_ms = (await alice.messages(room, "dir=b&limit=1"))["chunk"][0]["origin_server_ts"]
    times = [now_ms + 10_000 * number for number in range(1, 9)]
    sent = await at_times(alice, room, times)

    for number in (0, 3, 7):
        for direction in ("f", "b"):
            assert await moment(alice, room, times[number], direction) == sent[number]
    assert await moment(alice, room, times[3] + 1, "f") == sent[4]
    assert await moment(alice, room, times[3] + 1, "b") == sent[3]
    assert await moment(alice, room, times[3] - 1, "f") == sent[3]
    assert await moment(alice, room, times[7] + 1, "b") == sent[7]
    assert await moment(alice, room, times[7] + 1, "f") == NOT_FOUND
    first = (await alice.messages(room, "dir=f&limit=1"))["chunk"][0]
    assert await moment(alice, room, 0, "f") == first["event_id"]
    assert await moment(alice, room, 0, "b") == NOT_FOUND
    answer = await get_v1(alice, room, f"timestamp_to_event?ts={times[2]}&dir=f")
    assert answer == {"event_id": sent[2], "origin_server_ts": times[2]}


async def test_events_that_came_late_are_found_by_when_they_were_sent(alice, room):
    now_ms = (await alice.messages(room, "dir=b&limit=1"))["chunk"][0]["origin_server_ts"]
    sent = await at_times(alice, room, [now_ms + at_ms for at_ms in (1_000, 4_000, 2_000, 3_000, 5_000)])

    assert await moment(alice, room, now_ms + 1_500, "f") == sent[2]
    assert await moment(alice, room, now_ms + 3_500, "b") == sent[3]
    assert await moment(alice, room, now_ms + 3_500, "f") == sent[1]


async def test_a_time_leads_to_nothing_that_may_not_be_seen(alice, carol):
    initial = [{"type": "m.room.history_visibility", "content": {"history_visibility": "joined"}}]
    room = await alice.create(preset="public_chat", initial_state=initial)
    hidden = await send_numbers(alice, room, 120)
    await carol.act(room, "join")
    seen = (await carol.messages(room, "dir=f&limit=1000"))["chunk"]
    before, joined = seen[-2], seen[-1]
    assert not {*hidden} & {*ids(seen)}  # what is before is from when the room was made

    first_hidden_ms = (await alice.event(room, hidden[0]))["origin_server_ts"]
    assert await moment(carol, room, first_hidden_ms, "f") == joined["event_id"]
    assert await moment(carol, room, joined["origin_server_ts"] - 1, "b") == before["event_id"]
    assert await moment(carol, room, joined["origin_server_ts"] + 1_000_000, "b") == joined["event_id"]


@pytest.mark.parametrize("query", ["dir=f", "ts=1", "ts=x&dir=f", "ts=1&dir=x", "ts=-5&dir=f"])
async def test_a_time_that_is_none_is_refused(alice, room, query):
    status, errcode = await try_v1(alice, room, f"timestamp_to_event?{query}")

    assert (status, errcode) in [INVALID, (400, "M_MISSING_PARAM")]


async def test_strangers_are_not_told_of_times(alice, carol, room):
    assert await try_v1(carol, room, "timestamp_to_event?ts=0&dir=f") == FORBIDDEN
