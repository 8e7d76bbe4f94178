"""Waiting for news, coming back for it, and choosing what of it to hear."""

import asyncio

import orjson

from homeserver.sync.request import SyncRequest, parse_since
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM, ids, sync
from tests.sync.sync_world import requester


async def test_the_timeline_limit_is_the_filters(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    sent = [world.send(ROOM, ALICE, body=str(number)) for number in range(30)]

    for limit, expected in ((1, sent[-1:]), (100, sent), (0, [])):
        limited = {"room": {"timeline": {"limit": limit}}}
        room = (await sync(world, ALICE, since, limited))["rooms"]["join"][ROOM]
        assert ids(room["timeline"]) == expected
        assert room["timeline"]["limited"] is (limit < 30)


async def test_a_state_event_that_the_timeline_filter_keeps_out_comes_as_state(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    named = world.send(ROOM, ALICE, "m.room.name", "", name="new")
    world.send(ROOM, ALICE, body="kept out")

    only = {"room": {"timeline": {"types": ["m.reaction"]}}}
    room = (await sync(world, ALICE, since, only))["rooms"]["join"][ROOM]

    assert room["timeline"]["events"] == []
    assert ids(room["state"]) == [named]


async def test_filters_by_room_type_and_sender(world):
    world.create(ROOM, ALICE)
    world.create("!other:example.org", ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, ALICE))["next_batch"]
    world.send(ROOM, ALICE, body="mine")
    theirs = world.send(ROOM, BOB, body="theirs")
    world.send("!other:example.org", ALICE, body="elsewhere")

    wanted = {"room": {"rooms": [ROOM], "timeline": {"not_senders": [ALICE]}}}
    answer = await sync(world, ALICE, since, wanted)

    assert list(answer["rooms"]["join"]) == [ROOM]
    assert ids(answer["rooms"]["join"][ROOM]["timeline"]) == [theirs]


async def test_a_sender_filter_never_leaves_an_older_state_event_last(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, ALICE))["next_batch"]
    world.send(ROOM, BOB, "m.room.name", "", name="older, passes")
    newer = world.send(ROOM, ALICE, "m.room.name", "", name="newer, does not")
    said = world.send(ROOM, BOB, body="passes")

    wanted = {"room": {"timeline": {"senders": [BOB]}}}
    room = (await sync(world, ALICE, since, wanted))["rooms"]["join"][ROOM]

    assert ids(room["state"]) == [newer]
    assert ids(room["timeline"]) == [said]


async def test_lazy_loading_tells_the_members_who_speak_and_each_once(world):
    world.create(ROOM, ALICE)
    for user_id in (BOB, CAROL):
        world.member(ROOM, user_id, "join")
    for number in range(10):
        world.send(ROOM, BOB, body=str(number))
    lazy = {"room": {"state": {"lazy_load_members": True}, "timeline": {"limit": 5}}}

    answer = await sync(world, ALICE, wanted=lazy)
    state = answer["rooms"]["join"][ROOM]["state"]["events"]
    # The heroes are members that the client needs too: here, everybody.
    assert {e["state_key"] for e in state if e["type"] == "m.room.member"} == {ALICE, BOB, CAROL}

    extra = [f"@user{number}:example.org" for number in range(10)]
    for user_id in extra:
        world.member(ROOM, user_id, "join")
    since = (await sync(world, ALICE, answer["next_batch"], lazy))["next_batch"]
    await world.start()
    world.send(ROOM, extra[9], body="first")
    answer = await sync(world, ALICE, since, lazy)
    (member,) = answer["rooms"]["join"][ROOM]["state"]["events"]
    assert member["state_key"] == extra[9]
    assert "summary" not in answer["rooms"]["join"][ROOM], "who is told because they speak has not just come"
    lost = await sync(world, ALICE, since, lazy)
    assert lost["rooms"]["join"][ROOM]["state"]["events"] == [member]

    world.send(ROOM, extra[9], body="second")
    reads = world.reads
    answer = await sync(world, ALICE, answer["next_batch"], lazy)
    assert answer["rooms"]["join"][ROOM]["state"]["events"] == []
    assert world.reads == reads


async def test_a_long_poll_wakes_when_something_happens_in_a_room_of_the_user(world):
    world.create(ROOM, ALICE)
    world.create("!other:example.org", BOB)
    since = (await sync(world, ALICE))["next_batch"]
    poll = asyncio.create_task(sync(world, ALICE, since, timeout_ms=30_000))
    await asyncio.sleep(0)
    world.send("!other:example.org", BOB, body="not for alice")
    await asyncio.sleep(0)
    assert not poll.done()

    sent = world.send(ROOM, ALICE, body="news")

    answer = await asyncio.wait_for(poll, 5)
    assert ids(answer["rooms"]["join"][ROOM]["timeline"]) == [sent]


async def test_a_long_poll_wakes_for_an_invite(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, BOB))["next_batch"]
    poll = asyncio.create_task(sync(world, BOB, since, timeout_ms=30_000))
    await asyncio.sleep(0)

    world.member(ROOM, BOB, "invite", ALICE)

    assert ROOM in (await asyncio.wait_for(poll, 5))["rooms"]["invite"]


async def test_what_the_filter_keeps_out_does_not_end_a_long_poll(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    wanted = {"room": {"timeline": {"types": ["m.room.message"]}}}
    poll = asyncio.create_task(sync(world, ALICE, since, wanted, timeout_ms=30_000))
    await asyncio.sleep(0)
    world.send(ROOM, ALICE, "m.reaction")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not poll.done()

    sent = world.send(ROOM, ALICE, body="news")

    answer = await asyncio.wait_for(poll, 5)
    assert ids(answer["rooms"]["join"][ROOM]["timeline"]) == [sent]


async def test_a_long_poll_without_news_ends_with_an_empty_answer(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]

    answer = await sync(world, ALICE, since, timeout_ms=1)

    assert answer == {"next_batch": since}


async def test_a_commit_between_the_look_and_the_sleep_wakes(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    request = SyncRequest(requester(ALICE), since=parse_since(since))
    async with world.sync.following(request) as follower:
        delta, _ = await follower.look()
        assert delta.is_empty
        world.send(ROOM, ALICE, body="in between")

        assert await follower.wait(0) is True
        delta, _ = await follower.look()

    assert not delta.is_empty


async def test_a_token_from_before_a_restart_goes_on_where_it_was(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    missed = world.send(ROOM, ALICE, body="missed")
    await world.start()
    after = world.send(ROOM, ALICE, body="after")

    room = (await sync(world, ALICE, since))["rooms"]["join"][ROOM]

    assert ids(room["timeline"]) == [missed, after]
    assert room["timeline"]["limited"] is False


async def test_what_is_committed_but_not_published_is_told_once(world):
    world.create(ROOM, ALICE)
    world.holds_back = True
    world.member(ROOM, BOB, "join")
    first = await sync(world, BOB)
    assert "rooms" not in first

    world.publish()
    second = await sync(world, BOB, first["next_batch"])

    assert ids(second["rooms"]["join"][ROOM]["timeline"]) == world.event_ids(ROOM)
    assert "rooms" not in await sync(world, BOB, second["next_batch"])


async def test_each_event_says_what_the_reader_was_at_it(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "invite", ALICE)
    world.member(ROOM, BOB, "join")
    world.send(ROOM, ALICE, body="news")
    joined = await sync(world, BOB)
    world.member(ROOM, BOB, "leave")

    left = await sync(world, BOB, joined["next_batch"])

    events = joined["rooms"]["join"][ROOM]["timeline"]["events"]
    memberships = [event["unsigned"]["membership"] for event in events]
    assert memberships == ["leave"] * 4 + ["invite", "join", "join"]
    (event,) = left["rooms"]["leave"][ROOM]["timeline"]["events"]
    assert event["unsigned"]["membership"] == "leave"


async def test_a_filter_chooses_fields_and_format(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    world.send(ROOM, ALICE, body="news", other=1)

    fields = await sync(world, ALICE, since, {"event_fields": ["type", "content.body"]})
    signed = await sync(world, ALICE, since, {"event_format": "federation"})

    (event,) = fields["rooms"]["join"][ROOM]["timeline"]["events"]
    assert event == {"type": "m.room.message", "content": {"body": "news"}}
    (event,) = signed["rooms"]["join"][ROOM]["timeline"]["events"]
    assert event["depth"] == 5


async def test_a_room_left_before_a_restart_still_tells_what_led_to_it(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, BOB))["next_batch"]
    said = world.send(ROOM, ALICE, body="go")
    left = world.member(ROOM, BOB, "leave", ALICE)
    await world.start()

    answer = await sync(world, BOB, since)

    assert ids(answer["rooms"]["leave"][ROOM]["timeline"]) == [said, left]


async def test_a_leave_that_comes_with_a_later_page_does_not_hide_what_came_before_it(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, BOB))["next_batch"]
    request = SyncRequest(requester(BOB), since=parse_since(since), events_max=2)
    async with world.sync.following(request) as follower:
        said = [world.send(ROOM, ALICE, body=str(number)) for number in range(4)]
        left = world.member(ROOM, BOB, "leave", ALICE)
        pages = []
        more = True
        while more:
            delta, more = await follower.look()
            pages.append(orjson.loads(delta.body)["rooms"])

    assert [ids(page["join"][ROOM]["timeline"]) for page in pages[:-1]] == [said[:2], said[2:]]
    assert ids(pages[-1]["leave"][ROOM]["timeline"]) == [left]
