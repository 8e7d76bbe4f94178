"""What /sync tells, request by request."""

from tests.sync.sync_asking import ALICE, BOB, ROOM, ids, sync
from tests.sync.sync_world import requester


async def test_an_initial_sync_of_a_new_user_has_a_token_push_rules_and_no_rooms(world):
    answer = await sync(world, ALICE)

    assert answer.keys() == {"next_batch", "account_data"}


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
    assert world.reads == reads + 4, "only for what is new where and of whom: the token is from before"


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


async def test_a_redaction_reaches_also_what_is_told_of_the_event_that_came_before(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    regretted = world.send(ROOM, ALICE, "m.room.name", "", name="regretted")
    world.send(ROOM, ALICE, "m.room.name", "", name="new")
    await sync(world, ALICE, since)
    world.send(ROOM, ALICE, "m.room.redaction", redacts=regretted)

    events = (await sync(world, ALICE, since))["rooms"]["join"][ROOM]["timeline"]["events"]

    assert events[1]["unsigned"]["replaces_state"] == regretted
    assert events[1]["unsigned"]["prev_content"] == {}


async def test_full_state_tells_the_state_again_but_no_old_events(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]

    answer = await sync(world, ALICE, since, full_state=True, timeout_ms=30_000)

    room = answer["rooms"]["join"][ROOM]
    assert room["timeline"]["events"] == []
    assert len(room["state"]["events"]) == 4


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
