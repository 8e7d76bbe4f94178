"""What /sync tells, request by request."""

import asyncio

import orjson

from homeserver.core.filters import parse_filter
from homeserver.sync.request import SyncRequest, parse_since
from tests.sync.sync_world import requester

ALICE, BOB, CAROL = "@alice:example.org", "@bob:example.org", "@carol:example.org"
ROOM = "!room:example.org"


async def sync(world, user_id, since=None, wanted=None, session_id=1, **options):
    request = SyncRequest(
        requester(user_id, session_id),
        filter=parse_filter(wanted or {}),
        since=parse_since(since),
        **options,
    )
    return orjson.loads(await world.sync.respond(request))


def ids(part):
    return [event["event_id"] for event in part["events"]]


async def test_an_initial_sync_of_a_new_user_has_a_token_and_no_rooms(world):
    answer = await sync(world, ALICE)

    assert answer.keys() == {"next_batch"}


async def test_an_initial_sync_has_the_last_ten_events_and_the_state_before_them(world):
    world.create(ROOM, ALICE)
    sent = [world.send(ROOM, ALICE, body=str(number)) for number in range(12)]

    room = (await sync(world, ALICE))["rooms"]["join"][ROOM]

    assert ids(room["timeline"]) == sent[2:]
    assert room["timeline"]["limited"] is True
    assert {event["type"] for event in room["state"]["events"]} == {
        "m.room.create", "m.room.member", "m.room.power_levels", "m.room.history_visibility",
    }  # fmt: skip
    assert room["summary"] == {
        "m.heroes": [], "m.joined_member_count": 1, "m.invited_member_count": 0,
    }  # fmt: skip


async def test_a_short_room_comes_whole_in_the_timeline_and_not_twice_in_the_state(world):
    world.create(ROOM, ALICE)

    room = (await sync(world, ALICE))["rooms"]["join"][ROOM]

    assert ids(room["timeline"]) == world.event_ids(ROOM)
    assert room["timeline"]["limited"] is False
    assert room["state"]["events"] == []


async def test_an_incremental_sync_has_only_what_is_new_and_reads_nothing(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    reads = world.reads
    sent = world.send(ROOM, ALICE, body="news")

    answer = await sync(world, ALICE, since)

    room = answer["rooms"]["join"][ROOM]
    assert ids(room["timeline"]) == [sent]
    assert room["timeline"]["limited"] is False
    assert room["state"]["events"] == []
    assert "room_id" not in room["timeline"]["events"][0]
    assert world.reads == reads
    assert (await sync(world, ALICE, answer["next_batch"])).keys() == {"next_batch"}


async def test_a_gap_is_limited_and_brings_the_state_that_changed_in_it(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    world.send(ROOM, ALICE, "m.room.name", "", name="first")
    renamed = world.send(ROOM, ALICE, "m.room.name", "", name="second")
    sent = [world.send(ROOM, ALICE, body=str(number)) for number in range(12)]

    room = (await sync(world, ALICE, since))["rooms"]["join"][ROOM]

    assert room["timeline"]["limited"] is True
    assert ids(room["timeline"]) == sent[2:]
    assert ids(room["state"]) == [renamed]


async def test_prev_batch_leads_to_just_before_the_first_event(world):
    world.create(ROOM, ALICE)
    sent = [world.send(ROOM, ALICE, body=str(number)) for number in range(12)]

    room = (await sync(world, ALICE))["rooms"]["join"][ROOM]

    place = int(room["timeline"]["prev_batch"].removeprefix("p"))
    before = await world.events_until(ROOM, place, 1, requester(ALICE))
    assert [shown.event.event_id for shown in before] == [sent[1]]


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


async def test_a_room_joined_since_comes_with_its_whole_state(world):
    world.create(ROOM, ALICE)
    for number in range(12):
        world.send(ROOM, ALICE, body=str(number))
    since = (await sync(world, BOB))["next_batch"]
    joined = world.member(ROOM, BOB, "join")

    room = (await sync(world, BOB, since))["rooms"]["join"][ROOM]

    assert ids(room["timeline"])[-1] == joined
    assert room["timeline"]["limited"] is True
    assert len(room["state"]["events"]) == 4
    assert room["summary"]["m.heroes"] == [ALICE]


async def test_an_invite_brings_stripped_state_once(world):
    world.create(ROOM, ALICE)
    world.send(ROOM, ALICE, "m.room.name", "", name="A room")
    since = (await sync(world, BOB))["next_batch"]
    world.member(ROOM, BOB, "invite", ALICE)

    answer = await sync(world, BOB, since)

    events = answer["rooms"]["invite"][ROOM]["invite_state"]["events"]
    assert {(event["type"], event["state_key"]) for event in events} == {
        ("m.room.create", ""), ("m.room.name", ""), ("m.room.member", ALICE), ("m.room.member", BOB),
    }  # fmt: skip
    assert all(event.keys() == {"type", "state_key", "sender", "content"} for event in events)
    world.send(ROOM, ALICE, body="not for bob")
    assert "rooms" not in await sync(world, BOB, answer["next_batch"])
    assert ROOM in (await sync(world, BOB))["rooms"]["invite"]


async def test_a_room_left_comes_once_with_what_led_to_it(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, BOB))["next_batch"]
    said = world.send(ROOM, ALICE, body="go")
    left = world.member(ROOM, BOB, "leave", ALICE)
    world.send(ROOM, ALICE, body="not for bob")

    answer = await sync(world, BOB, since)

    assert ids(answer["rooms"]["leave"][ROOM]["timeline"]) == [said, left]
    assert "join" not in answer["rooms"]
    assert "rooms" not in await sync(world, BOB, answer["next_batch"])
    assert "rooms" not in await sync(world, BOB)
    left_too = await sync(world, BOB, wanted={"room": {"include_leave": True}})
    assert ids(left_too["rooms"]["leave"][ROOM]["timeline"])[-1] == left


async def test_an_invite_turned_down_is_left(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "invite", ALICE)
    since = (await sync(world, BOB))["next_batch"]
    left = world.member(ROOM, BOB, "leave")

    answer = await sync(world, BOB, since)

    assert ids(answer["rooms"]["leave"][ROOM]["timeline"]) == [left]


async def test_history_from_before_joining_is_kept_from_who_may_not_see_it(world):
    world.create(ROOM, ALICE, visibility="joined")
    world.send(ROOM, ALICE, body="before")
    named = world.send(ROOM, ALICE, "m.room.name", "", name="secret")
    joined = world.member(ROOM, BOB, "join")
    after = world.send(ROOM, ALICE, body="after")

    room = (await sync(world, BOB))["rooms"]["join"][ROOM]

    assert ids(room["timeline"]) == [joined, after]
    assert room["timeline"]["limited"] is True
    assert named in ids(room["state"])


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


async def test_the_transaction_id_is_shown_to_its_session_only(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    world.holds_back = True
    world.send(ROOM, ALICE, body="mine")
    world.unpublished[0].session_id, world.unpublished[0].transaction_id = 7, 'txn"7'
    world.publish()

    for session_id, expected in ((7, 'txn"7'), (8, None)):
        answer = await sync(world, ALICE, since, session_id=session_id)
        (event,) = answer["rooms"]["join"][ROOM]["timeline"]["events"]
        assert event["unsigned"].get("transaction_id") == expected


async def test_a_replaced_state_event_is_in_unsigned_and_is_read_once(world):
    world.create(ROOM, ALICE)
    world.send(ROOM, ALICE, "m.room.name", "", name="old")
    since = (await sync(world, ALICE))["next_batch"]
    await world.start()
    world.send(ROOM, ALICE, "m.room.name", "", name="new")

    (event,) = (await sync(world, ALICE, since))["rooms"]["join"][ROOM]["timeline"]["events"]
    reads = world.reads
    again = await sync(world, ALICE, since)

    assert event["unsigned"]["prev_content"] == {"name": "old"}
    assert again["rooms"]["join"][ROOM]["timeline"]["events"] == [event]
    assert world.reads == reads + 1, "only for which rooms have news: the token is from before the restart"


async def test_a_redaction_reaches_the_remembered_event(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    said = world.send(ROOM, ALICE, body="regretted")
    await sync(world, ALICE, since)
    redaction = world.send(ROOM, ALICE, "m.room.redaction", redacts=said)

    events = (await sync(world, ALICE, since))["rooms"]["join"][ROOM]["timeline"]["events"]

    assert [event["event_id"] for event in events] == [said, redaction]
    assert events[0]["content"] == {}
    assert events[0]["unsigned"]["redacted_because"]["event_id"] == redaction


async def test_full_state_tells_the_state_again_but_no_old_events(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]

    answer = await sync(world, ALICE, since, full_state=True, timeout_ms=30_000)

    room = answer["rooms"]["join"][ROOM]
    assert room["timeline"]["events"] == []
    assert len(room["state"]["events"]) == 4


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
    lost = await sync(world, ALICE, since, lazy)
    assert lost["rooms"]["join"][ROOM]["state"]["events"] == [member]

    world.send(ROOM, extra[9], body="second")
    reads = world.reads
    answer = await sync(world, ALICE, answer["next_batch"], lazy)
    assert answer["rooms"]["join"][ROOM]["state"]["events"] == []
    assert world.reads == reads


async def test_state_after_holds_what_changed_in_the_timeline_too(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    named = world.send(ROOM, ALICE, "m.room.name", "", name="new")

    room = (await sync(world, ALICE, since, use_state_after=True))["rooms"]["join"][ROOM]

    assert ids(room["timeline"]) == [named]
    assert ids(room["state_after"]) == [named]
    assert "state" not in room
    whole = (await sync(world, ALICE, use_state_after=True))["rooms"]["join"][ROOM]
    assert set(ids(whole["state_after"])) == set(world.state(ROOM).values())


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
