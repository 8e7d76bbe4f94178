"""Account data in syncs."""

import asyncio

import orjson
import pytest

from homeserver.core.changes import AccountDataChange
from homeserver.core.positions import SyncToken
from homeserver.sync import account_data_news
from homeserver.sync.account_data_news import AccountDataNews
from homeserver.sync.request import SyncRequest, parse_since
from tests.sync.sync_asking import ALICE, BOB, ROOM, ids, sync
from tests.sync.sync_world import requester

OTHER = "!other:example.org"


def kept(part):
    """The account data of an answer or of a room in it, push rules aside."""
    events = part.get("account_data", {"events": []})["events"]
    return [(event["type"], event["content"]) for event in events if event["type"] != "m.push_rules"]


async def test_an_initial_sync_tells_what_is_kept_where_it_belongs(world):
    world.create(ROOM, ALICE)
    world.create(OTHER, BOB)
    world.keep(ALICE, "m.direct", {BOB: [ROOM]})
    world.keep(ALICE, "org.example.gone", {"n": 1})
    world.keep(ALICE, "org.example.gone", None)
    world.keep(ALICE, "m.tag", {"tags": {"u.work": {}}}, ROOM)
    world.keep(ALICE, "m.tag", {"tags": {"u.not_in_it": {}}}, OTHER)
    world.keep(BOB, "m.direct", {ALICE: [ROOM]})

    answer = await sync(world, ALICE)

    assert kept(answer) == [("m.direct", {BOB: [ROOM]})]
    assert list(answer["rooms"]["join"]) == [ROOM]
    assert kept(answer["rooms"]["join"][ROOM]) == [("m.tag", {"tags": {"u.work": {}}})]


async def test_push_rules_come_with_the_first_sync_only(world):
    first = await sync(world, ALICE)
    world.keep(ALICE, "m.direct", {})
    second = await sync(world, ALICE, first["next_batch"])

    assert [event["type"] for event in first["account_data"]["events"]] == ["m.push_rules"]
    assert first["account_data"]["events"][0]["content"]["global"].keys() >= {"override", "underride"}
    assert [event["type"] for event in second["account_data"]["events"]] == ["m.direct"]


async def test_what_changed_is_told_once_as_it_is_now_and_without_a_read(world):
    world.create(ROOM, ALICE)
    world.keep(ALICE, "org.example.old", {"n": 0})
    since = (await sync(world, ALICE))["next_batch"]
    reads = world.reads
    for number in range(3):
        world.keep(ALICE, "org.example.n", {"n": number})
    world.keep(ALICE, "org.example.old", None)
    world.keep(BOB, "org.example.other", {"n": 1})

    answer = await sync(world, ALICE, since)

    assert kept(answer) == [("org.example.n", {"n": 2}), ("org.example.old", {})]
    assert "rooms" not in answer
    assert await sync(world, ALICE, answer["next_batch"]) == {"next_batch": answer["next_batch"]}
    assert world.reads == reads


async def test_a_room_with_nothing_but_account_data_has_no_timeline(world):
    world.create(ROOM, ALICE)
    world.create(OTHER, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    reads = world.reads
    world.keep(ALICE, "m.tag", {"tags": {}}, ROOM)
    sent = world.send(OTHER, ALICE, body="news")
    world.keep(ALICE, "m.tag", {"tags": {"u.a": {}}}, OTHER)

    answer = await sync(world, ALICE, since)

    assert answer["rooms"]["join"].keys() == {ROOM, OTHER}
    assert answer["rooms"]["join"][ROOM] == {
        "account_data": {"events": [{"type": "m.tag", "content": {"tags": {}}}]}
    }
    assert kept(answer["rooms"]["join"][OTHER]) == [("m.tag", {"tags": {"u.a": {}}})]
    assert ids(answer["rooms"]["join"][OTHER]["timeline"]) == [sent]
    assert world.reads == reads


async def test_a_token_from_before_a_restart_gets_what_changed_and_what_was_deleted(world):
    world.create(ROOM, ALICE)
    world.keep(ALICE, "org.example.gone", {"n": 1})
    since = (await sync(world, ALICE))["next_batch"]
    world.keep(ALICE, "org.example.gone", None)
    world.keep(ALICE, "org.example.n", {"n": 1})
    world.keep(ALICE, "m.tag", {"tags": {}}, ROOM)
    await world.start()

    answer = await sync(world, ALICE, since)

    assert kept(answer) == [("org.example.gone", {}), ("org.example.n", {"n": 1})]
    assert kept(answer["rooms"]["join"][ROOM]) == [("m.tag", {"tags": {}})]


@pytest.mark.parametrize("room_id", [None, ROOM])
async def test_a_long_poll_wakes_for_its_own_users_account_data(world, room_id):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, ALICE))["next_batch"]
    poll = asyncio.create_task(sync(world, ALICE, since, timeout_ms=30_000))
    await asyncio.sleep(0)
    (waiter,) = (await world.notifier.users.find(ALICE))._waiters
    world.keep(BOB, "org.example.n", {"n": 1}, room_id)
    assert not waiter._rung
    assert not poll.done()

    world.keep(ALICE, "org.example.n", {"n": 2}, room_id)

    answer = await asyncio.wait_for(poll, 5)
    part = answer if room_id is None else answer["rooms"]["join"][ROOM]
    assert kept(part) == [("org.example.n", {"n": 2})]


async def test_what_the_filter_keeps_out_does_not_end_a_long_poll(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    wanted = {"account_data": {"types": ["m.*"]}, "room": {"account_data": {"not_rooms": [ROOM]}}}
    poll = asyncio.create_task(sync(world, ALICE, since, wanted, timeout_ms=30_000))
    await asyncio.sleep(0)
    world.keep(ALICE, "org.example.n", {"n": 1})
    world.keep(ALICE, "m.tag", {"tags": {}}, ROOM)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not poll.done()

    world.keep(ALICE, "m.direct", {"n": 2})

    assert kept(await asyncio.wait_for(poll, 5)) == [("m.direct", {"n": 2})]


@pytest.mark.parametrize("is_live", [True, False])
async def test_filters_of_account_data(world, is_live):
    world.create(ROOM, ALICE)
    world.create(OTHER, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    for type_, content in (("a", {"url": "x"}), ("b", {"n": 1}), ("c", {"n": 2})):
        for place in (None, ROOM, OTHER):
            world.keep(ALICE, type_, content, place)
    if not is_live:
        await world.start()

    async def ask(wanted):
        answer = await sync(world, ALICE, since, wanted)
        rooms = answer.get("rooms", {}).get("join", {})
        return [
            "".join(type_ for type_, _ in kept(part))
            for part in (answer, rooms.get(ROOM, {}), rooms.get(OTHER, {}))
        ]

    assert await ask({}) == ["abc", "abc", "abc"]
    assert await ask({"account_data": {"types": ["a", "c"]}}) == ["ac", "abc", "abc"]
    assert await ask({"account_data": {"not_types": ["a"], "limit": 1}}) == ["c", "abc", "abc"]
    assert await ask({"account_data": {"limit": 0}}) == ["", "abc", "abc"]
    assert await ask({"account_data": {"senders": [BOB]}}) == ["", "abc", "abc"]
    assert await ask({"room": {"account_data": {"types": ["b"]}}}) == ["abc", "b", "b"]
    assert await ask({"room": {"account_data": {"limit": 2}}}) == ["abc", "bc", "bc"]
    assert await ask({"room": {"account_data": {"rooms": [ROOM]}}}) == ["abc", "abc", ""]
    assert await ask({"room": {"account_data": {"contains_url": True}}}) == ["abc", "a", "a"]
    assert await ask({"room": {"not_rooms": [ROOM]}}) == ["abc", "", "abc"]


async def test_a_room_that_is_left_tells_what_is_kept_and_one_that_is_joined_again_all(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    world.keep(BOB, "a", {"n": 1}, ROOM)
    world.keep(BOB, "b", {"n": 1}, ROOM)
    since = (await sync(world, BOB))["next_batch"]
    world.keep(BOB, "a", {"n": 2}, ROOM)
    world.member(ROOM, BOB, "leave")
    left = await sync(world, BOB, since)
    assert kept(left["rooms"]["leave"][ROOM]) == [("a", {"n": 2})]

    world.keep(BOB, "b", None, ROOM)
    world.keep(BOB, "c", {"n": 1}, ROOM)
    away = await sync(world, BOB, left["next_batch"])
    assert "rooms" not in away
    archive = await sync(world, BOB, wanted={"room": {"include_leave": True}})
    assert kept(archive["rooms"]["leave"][ROOM]) == [("a", {"n": 2}), ("c", {"n": 1})]
    world.member(ROOM, BOB, "join")

    back = await sync(world, BOB, away["next_batch"])

    # What was deleted while nobody was told is told now.
    assert kept(back["rooms"]["join"][ROOM]) == [("a", {"n": 2}), ("b", {}), ("c", {"n": 1})]


async def test_an_invited_room_keeps_its_account_data_for_later(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "invite", ALICE)
    first = await sync(world, BOB)
    world.keep(BOB, "m.tag", {"tags": {}}, ROOM)
    second = await sync(world, BOB, first["next_batch"])
    world.member(ROOM, BOB, "join")
    third = await sync(world, BOB, second["next_batch"])

    assert first["rooms"]["invite"][ROOM].keys() == {"invite_state"}
    assert "rooms" not in second
    assert kept(third["rooms"]["join"][ROOM]) == [("m.tag", {"tags": {}})]


async def test_full_state_tells_everything_again_and_what_is_gone_since(world):
    world.create(ROOM, ALICE)
    world.keep(ALICE, "gone before", {"n": 1})
    world.keep(ALICE, "gone before", None)
    world.keep(ALICE, "gone", {"n": 1})
    world.keep(ALICE, "old", {"n": 1})
    world.keep(ALICE, "m.tag", {"tags": {}}, ROOM)
    since = (await sync(world, ALICE))["next_batch"]
    world.keep(ALICE, "gone", None)

    answer = await sync(world, ALICE, since, full_state=True)

    assert kept(answer) == [("old", {"n": 1}), ("gone", {})]
    assert kept(answer["rooms"]["join"][ROOM]) == [("m.tag", {"tags": {}})]


async def test_what_is_replaced_by_what_is_not_yet_published_is_not_missing(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    world.keep(ALICE, "a", {"n": "acknowledged"})
    await world.start()
    world.holds_back = True
    world.keep(ALICE, "a", {"n": "committed"})

    for answer in (await sync(world, ALICE), await sync(world, ALICE, since)):
        assert kept(answer) == [("a", {"n": "committed"})]
        world.holds_back = False
        world.publish()
        after = await sync(world, ALICE, answer["next_batch"])
        assert kept(after) in ([("a", {"n": "committed"})], [])
        assert after["next_batch"] == world.notifier.heard.encode()


async def test_paging_forward_tells_account_data_once(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    request = SyncRequest(requester(ALICE), since=parse_since(since), events_max=2)
    told = []
    async with world.sync.following(request) as follower:
        for number in range(6):
            world.send(ROOM, ALICE, body=str(number))
            world.keep(ALICE, "n", {"n": number})
            world.keep(ALICE, f"n{number}", {"n": number})
        more, pages = True, 0
        while more:
            delta, more = await follower.look()
            told += kept(orjson.loads(delta.body))
            pages += 1

    assert pages > 1
    assert sorted(told) == sorted([("n", {"n": 5}), *((f"n{number}", {"n": number}) for number in range(6))])


def change_of(position, type_="a", content=b"{}"):
    return AccountDataChange(position, ALICE, None, type_, content)


def test_what_is_remembered_is_bounded_and_says_where_it_ends(monkeypatch):
    monkeypatch.setattr(account_data_news, "ENTRIES_MAX", 3)
    monkeypatch.setattr(account_data_news, "BYTES_MAX", 100)
    start = SyncToken().advance(10)
    news = AccountDataNews(start)
    assert news.after(SyncToken()) is None
    assert list(news.after(start)) == []
    for position, type_ in enumerate("abacd", start=11):
        news.take_in(change_of(position, type_))

    # The second a replaced the first; b had to go.
    assert news.after(start) is None
    assert [change.position for change in news.after(SyncToken().advance(12))] == [13, 14, 15]
    assert [change.position for change in news.after(SyncToken().advance(14))] == [15]
    assert list(news.after(SyncToken().advance(15))) == []
    news.take_in(change_of(16, "large", b"x" * 90))
    assert [change.position for change in news.after(SyncToken().advance(15))] == [16]
    assert news.after(SyncToken().advance(12)) is None
    news.take_in(change_of(17, "too large", b"x" * 101))
    assert news.after(SyncToken().advance(16)) is None
    assert list(news.after(SyncToken().advance(17))) == []


def test_changes_of_several_writers_are_each_told(monkeypatch):
    one, two = 1 << 12 | 5 << 22, 2 << 12 | 5 << 22
    news = AccountDataNews(SyncToken())
    news.take_in(change_of(one, "one"))
    news.take_in(change_of(two, "two"))

    assert [change.type for change in news.after(SyncToken().advance(two))] == ["one"]
    assert [change.type for change in news.after(SyncToken().advance(one))] == ["two"]
