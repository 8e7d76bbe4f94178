"""Sliding sync: what is told of a room, at first and afterwards."""

import asyncio

from homeserver.core.positions import POSITION_MAX
from homeserver.sync.bump_stamps import bump_stamp_of
from tests.sync.sliding_world import EVERYTHING, MEMBER, event_ids, room_list
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM

LAZY = [["m.room.name", ""], [MEMBER, "$LAZY"], [MEMBER, "$ME"]]


def keys(entry):
    return {(event["type"], event["state_key"]) for event in entry.get("required_state", [])}


async def test_a_room_is_told_whole_at_first_and_then_what_is_new(sliding):
    sliding.create(ROOM, ALICE)
    sliding.send(ROOM, ALICE, "m.room.name", "", name="The room")
    said = sliding.send(ROOM, ALICE, body="one")

    first = await sliding.ask(ALICE, room_list(limit=1))
    entry = first["rooms"][ROOM]
    assert entry["initial"] is True
    assert entry["name"] == "The room"
    assert "heroes" not in entry
    assert event_ids(entry["timeline"]) == [said]
    assert entry["limited"] is True
    assert entry["num_live"] == 0
    assert (entry["joined_count"], entry["invited_count"]) == (1, 0)
    assert (entry["notification_count"], entry["highlight_count"]) == (0, 0)
    assert keys(entry) == set(sliding.state(ROOM))
    assert "room_id" not in entry["timeline"][0]
    assert first["lists"] == {"all": {"count": 1}}
    assert first["extensions"] == {}

    said = sliding.send(ROOM, ALICE, body="two")
    second = await sliding.ask(ALICE, room_list(limit=1), first["pos"])
    entry = second["rooms"][ROOM]
    assert "initial" not in entry
    assert event_ids(entry["timeline"]) == [said]
    assert entry["limited"] is False
    assert entry["num_live"] == 1
    assert not {"name", "required_state", "joined_count", "heroes"} & entry.keys()
    assert (await sliding.ask(ALICE, room_list(limit=1), second["pos"]))["rooms"] == {}


async def test_a_gap_is_said_and_what_changed_in_it_is_told(sliding):
    sliding.create(ROOM, ALICE)
    pos = (await sliding.ask(ALICE, room_list(limit=2)))["pos"]
    sliding.send(ROOM, ALICE, "m.room.name", "", name="Called this now")
    said = [sliding.send(ROOM, ALICE, body=str(number)) for number in range(3)]

    entry = (await sliding.ask(ALICE, room_list(limit=2), pos))["rooms"][ROOM]
    assert entry["limited"] is True
    assert event_ids(entry["timeline"]) == said[-2:]
    assert entry["num_live"] == 2
    assert entry["name"] == "Called this now"
    assert keys(entry) == {("m.room.name", "")}


async def test_without_a_name_a_room_is_told_with_its_heroes(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join", displayname="Bob", avatar_url="mxc://example.org/bob")
    sliding.member(ROOM, CAROL, "invite", sender=ALICE)

    first = await sliding.ask(ALICE, room_list(required_state=[]))
    entry = first["rooms"][ROOM]
    assert entry["heroes"] == [
        {"user_id": BOB, "displayname": "Bob", "avatar_url": "mxc://example.org/bob"},
        {"user_id": CAROL},
    ]
    assert (entry["joined_count"], entry["invited_count"]) == (2, 1)
    assert entry["required_state"] == []

    sliding.member(ROOM, BOB, "leave")
    entry = (await sliding.ask(ALICE, room_list(required_state=[]), first["pos"]))["rooms"][ROOM]
    assert (entry["joined_count"], entry["invited_count"]) == (1, 1)
    assert [hero["user_id"] for hero in entry["heroes"]] == [CAROL]


async def test_names_and_avatars_come_and_go(sliding):
    sliding.create(ROOM, ALICE)
    sliding.send(ROOM, ALICE, "m.room.name", "", name="Named")
    sliding.send(ROOM, ALICE, "m.room.avatar", "", url="mxc://example.org/a")
    first = await sliding.ask(ALICE, room_list())
    assert first["rooms"][ROOM]["avatar"] == "mxc://example.org/a"

    sliding.send(ROOM, ALICE, "m.room.name", "")
    sliding.send(ROOM, ALICE, "m.room.avatar", "")
    entry = (await sliding.ask(ALICE, room_list(), first["pos"]))["rooms"][ROOM]
    assert "name" not in entry
    assert entry["avatar"] is None


async def test_required_state_is_what_was_asked_for(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    sliding.send(ROOM, ALICE, "org.example.a", "x")
    sliding.send(ROOM, ALICE, "org.example.a", "y")
    sliding.send(ROOM, ALICE, "org.example.b", "x")
    cases = (
        ([["m.room.create", ""]], {("m.room.create", "")}),
        ([["org.example.a", "*"]], {("org.example.a", "x"), ("org.example.a", "y")}),
        ([["*", "x"]], {("org.example.a", "x"), ("org.example.b", "x")}),
        ([[MEMBER, "$ME"]], {(MEMBER, ALICE)}),
        ([[MEMBER, BOB]], {(MEMBER, BOB)}),
        ([["*", "*"]], set(sliding.state(ROOM))),
        ([["org.example.none", ""]], set()),
    )
    for required_state, expected in cases:
        asked = room_list(required_state=required_state)
        assert keys((await sliding.ask(ALICE, asked))["rooms"][ROOM]) == expected


async def test_required_state_that_is_asked_for_later_is_told_then(sliding):
    sliding.create(ROOM, ALICE)
    sliding.send(ROOM, ALICE, "m.room.topic", "", topic="This")
    narrow = room_list(required_state=[["m.room.create", ""]])
    wide = room_list(required_state=[["m.room.create", ""], ["m.room.topic", ""]])
    pos = (await sliding.ask(ALICE, narrow))["pos"]

    grown = await sliding.ask(ALICE, wide, pos)
    assert keys(grown["rooms"][ROOM]) == {("m.room.topic", "")}
    assert "initial" not in grown["rooms"][ROOM]
    assert (await sliding.ask(ALICE, wide, grown["pos"]))["rooms"] == {}

    shrunk = await sliding.ask(ALICE, narrow, grown["pos"])
    sliding.send(ROOM, ALICE, "m.room.topic", "", topic="That")
    quiet = await sliding.ask(ALICE, narrow, shrunk["pos"])
    assert keys(quiet["rooms"][ROOM]) == set()
    again = await sliding.ask(ALICE, wide, quiet["pos"])
    assert [event["content"] for event in again["rooms"][ROOM]["required_state"]] == [{"topic": "That"}]


async def test_lazy_members_are_those_who_speak_and_each_is_told_once(sliding):
    sliding.create(ROOM, ALICE)
    for user_id in (BOB, CAROL):
        sliding.member(ROOM, user_id, "join")
    sliding.send(ROOM, BOB, body="hello")

    first = await sliding.ask(ALICE, room_list(limit=1, required_state=LAZY))
    assert keys(first["rooms"][ROOM]) == {(MEMBER, ALICE), (MEMBER, BOB)}

    sliding.send(ROOM, BOB, body="again")
    second = await sliding.ask(ALICE, room_list(limit=1, required_state=LAZY), first["pos"])
    assert keys(second["rooms"][ROOM]) == set()

    sliding.send(ROOM, CAROL, body="hello")
    third = await sliding.ask(ALICE, room_list(limit=1, required_state=LAZY), second["pos"])
    assert keys(third["rooms"][ROOM]) == {(MEMBER, CAROL)}

    # The answer got lost on its way: what it told counts as untold.
    repeated = await sliding.ask(ALICE, room_list(limit=1, required_state=LAZY), second["pos"])
    assert keys(repeated["rooms"][ROOM]) == {(MEMBER, CAROL)}


async def test_lazy_members_that_are_wanted_later_are_those_of_the_timeline_that_was_told(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    sliding.send(ROOM, BOB, body="hello")
    first = await sliding.ask(ALICE, room_list(limit=1, required_state=[]))
    second = await sliding.ask(ALICE, room_list(limit=1, required_state=LAZY), first["pos"])
    assert keys(second["rooms"][ROOM]) == {(MEMBER, ALICE), (MEMBER, BOB)}


async def test_a_lazy_member_whose_change_fell_into_a_gap_is_told_anew(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    sliding.send(ROOM, BOB, body="hello")
    asked = room_list(limit=1, required_state=LAZY)
    first = await sliding.ask(ALICE, asked)
    sliding.member(ROOM, BOB, "join", displayname="Robert")
    sliding.send(ROOM, ALICE, body="a gap")
    second = await sliding.ask(ALICE, asked, first["pos"])
    assert second["rooms"][ROOM]["limited"] is True
    assert keys(second["rooms"][ROOM]) == set()

    sliding.send(ROOM, BOB, body="it is me")
    (event,) = (await sliding.ask(ALICE, asked, second["pos"]))["rooms"][ROOM]["required_state"]
    assert event["content"]["displayname"] == "Robert"


async def test_a_longer_timeline_is_told_when_it_is_asked_for(sliding):
    sliding.create(ROOM, ALICE)
    said = [sliding.send(ROOM, ALICE, body=str(number)) for number in range(5)]
    first = await sliding.ask(ALICE, room_list(limit=1))
    asked = room_list(limit=1) | {"room_subscriptions": {ROOM: {"timeline_limit": 3, "required_state": []}}}

    second = await sliding.ask(ALICE, asked, first["pos"])
    entry = second["rooms"][ROOM]
    assert entry["unstable_expanded_timeline"] is True
    assert "initial" not in entry
    assert event_ids(entry["timeline"]) == said[-3:]
    assert entry["limited"] is True
    assert entry["num_live"] == 0
    assert keys(entry) == set()
    assert (await sliding.ask(ALICE, asked, second["pos"]))["rooms"] == {}

    # Back to the list alone, and again: the client has it still.
    third = await sliding.ask(ALICE, room_list(limit=1), second["pos"])
    assert (await sliding.ask(ALICE, asked, third["pos"]))["rooms"] == {}


async def test_an_invite_comes_stripped_and_turns_into_a_room(sliding):
    sliding.create(ROOM, BOB)
    sliding.send(ROOM, BOB, "m.room.name", "", name="Secret")
    sliding.send(ROOM, BOB, body="not for outsiders")
    sliding.member(ROOM, ALICE, "invite", sender=BOB)

    first = await sliding.ask(ALICE, room_list())
    entry = first["rooms"][ROOM]
    assert set(entry) == {"initial", "bump_stamp", "invite_state"}
    assert {event["type"] for event in entry["invite_state"]} == {"m.room.create", "m.room.name", MEMBER}
    assert (await sliding.ask(ALICE, room_list(), first["pos"]))["rooms"] == {}

    sliding.member(ROOM, ALICE, "join")
    second = await sliding.ask(ALICE, room_list(), first["pos"])
    assert second["rooms"][ROOM]["initial"] is True
    assert keys(second["rooms"][ROOM]) == set(sliding.state(ROOM))


async def test_an_invite_that_is_turned_down_ends_with_the_own_leaving(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "invite", sender=BOB)
    first = await sliding.ask(ALICE, room_list())
    left = sliding.member(ROOM, ALICE, "leave")
    sliding.send(ROOM, BOB, body="not for outsiders")

    second = await sliding.ask(ALICE, room_list(), first["pos"])
    assert event_ids(second["rooms"][ROOM]["required_state"]) == [left]
    assert "timeline" not in second["rooms"][ROOM]
    third = await sliding.ask(ALICE, room_list(), second["pos"])
    assert (third["rooms"], third["lists"]["all"]["count"]) == ({}, 0)


async def test_a_room_that_was_left_is_told_once_up_to_the_leaving(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    first = await sliding.ask(ALICE, room_list())
    left = sliding.member(ROOM, ALICE, "leave")
    sliding.send(ROOM, BOB, "m.room.name", "", name="Behind their back")
    sliding.send(ROOM, BOB, body="behind their back")

    second = await sliding.ask(ALICE, room_list(), first["pos"])
    entry = second["rooms"][ROOM]
    assert event_ids(entry["timeline"]) == [left]
    assert keys(entry) == {(MEMBER, ALICE)}
    assert "initial" not in entry
    assert "name" not in entry
    assert "joined_count" not in entry
    assert (await sliding.ask(ALICE, room_list(), second["pos"]))["rooms"] == {}
    assert (await sliding.ask(ALICE, room_list()))["rooms"] == {}


async def test_who_was_thrown_out_keeps_seeing_the_room_as_it_was_then(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    kicked = sliding.member(ROOM, ALICE, "leave", sender=BOB)
    sliding.send(ROOM, BOB, body="behind their back")
    sliding.send(ROOM, BOB, "m.room.name", "", name="Behind their back")

    answer = await sliding.ask(ALICE, room_list())
    entry = answer["rooms"][ROOM]
    assert event_ids(entry["timeline"])[-1] == kicked
    assert "name" not in entry
    assert ("m.room.name", "") not in keys(entry)
    assert (await sliding.ask(ALICE, room_list(), answer["pos"]))["rooms"] == {}


async def test_a_ban_or_an_invite_taken_back_from_outside_leaves_nothing(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "ban", sender=BOB)
    other = "!other:example.org"
    sliding.create(other, BOB)
    sliding.member(other, ALICE, "invite", sender=BOB)
    sliding.member(other, ALICE, "leave", sender=BOB)

    assert (await sliding.ask(ALICE, room_list()))["rooms"] == {}


async def test_who_is_asked_back_in_vain_does_not_see_what_the_room_has_become(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    sliding.member(ROOM, ALICE, "leave", sender=BOB)
    sliding.send(ROOM, BOB, "m.room.topic", "", topic="Behind their back")
    sliding.member(ROOM, ALICE, "invite", sender=BOB)
    last = sliding.member(ROOM, ALICE, "leave", sender=BOB)
    subscribed = {"room_subscriptions": {ROOM: {"timeline_limit": 20, "required_state": EVERYTHING}}}
    narrow = {"room_subscriptions": {ROOM: {"timeline_limit": 0}}}

    first = await sliding.ask(ALICE, narrow)
    assert event_ids(first["rooms"][ROOM]["required_state"]) == [last]
    assert (await sliding.ask(ALICE, subscribed, first["pos"]))["rooms"] == {}
    entry = (await sliding.ask(ALICE, subscribed))["rooms"][ROOM]
    assert event_ids(entry["required_state"]) == [last]
    assert "timeline" not in entry


async def test_who_comes_back_is_told_everything_anew(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    first = await sliding.ask(ALICE, room_list())
    sliding.member(ROOM, ALICE, "leave")
    sliding.member(ROOM, ALICE, "join")

    entry = (await sliding.ask(ALICE, room_list(), first["pos"]))["rooms"][ROOM]
    assert entry["initial"] is True
    assert keys(entry) == set(sliding.state(ROOM))


async def test_events_of_before_the_joining_are_shown_only_where_the_room_lets_them(sliding):
    sliding.create(ROOM, BOB, visibility="joined")
    before = sliding.send(ROOM, BOB, body="before")
    joined = sliding.member(ROOM, ALICE, "join")

    assert event_ids((await sliding.ask(ALICE, room_list()))["rooms"][ROOM]["timeline"]) == [joined]

    open_room = "!open:example.org"
    sliding.create(open_room, BOB)
    before = sliding.send(open_room, BOB, body="before")
    joined = sliding.member(open_room, ALICE, "join")
    told = (await sliding.ask(ALICE, room_list()))["rooms"][open_room]["timeline"]
    assert event_ids(told)[-2:] == [before, joined]
    assert [event["unsigned"]["membership"] for event in told[-2:]] == ["leave", "join"]


async def test_the_bump_stamp_moves_with_what_people_say_only(sliding):
    sliding.create(ROOM, ALICE)
    sliding.send(ROOM, ALICE, body="hello")
    first = await sliding.ask(ALICE, room_list(limit=1))
    stamp = first["rooms"][ROOM]["bump_stamp"]
    sliding.send(ROOM, ALICE, "m.room.topic", "", topic="Quiet")
    second = await sliding.ask(ALICE, room_list(limit=1), first["pos"])
    assert "bump_stamp" not in second["rooms"][ROOM]
    fresh = await sliding.ask(ALICE, room_list(limit=1), session_id=2)
    assert fresh["rooms"][ROOM]["bump_stamp"] == stamp
    sliding.send(ROOM, ALICE, body="hello again")
    third = await sliding.ask(ALICE, room_list(limit=1), second["pos"])
    assert third["rooms"][ROOM]["bump_stamp"] > stamp


async def test_what_ignored_users_say_moves_no_room_up(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    sliding.ignore(ALICE, BOB)
    stamps = []
    for session_id in range(2):
        answer = await sliding.ask(ALICE, room_list(limit=1), session_id=session_id)
        stamps.append(answer["rooms"][ROOM]["bump_stamp"])
        sliding.send(ROOM, BOB, body="unheard")
    assert stamps[0] == stamps[1]


def test_a_bump_stamp_is_a_number_that_javascript_knows():
    assert bump_stamp_of(POSITION_MAX) == 2**53 - 1
    assert bump_stamp_of(-5) == 0


async def test_what_ignored_users_say_is_not_told_nor_their_invites(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    sliding.create("!other:example.org", BOB)
    sliding.member("!other:example.org", ALICE, "invite", sender=BOB)
    sliding.ignore(ALICE, BOB)
    said = sliding.send(ROOM, BOB, body="unheard")

    answer = await sliding.ask(ALICE, room_list())
    assert list(answer["rooms"]) == [ROOM]
    assert answer["lists"]["all"]["count"] == 1
    assert said not in event_ids(answer["rooms"][ROOM]["timeline"])


async def test_a_poll_waits_for_news_and_costs_no_reads(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    sliding.send(ROOM, BOB, body="hello")
    asked = room_list(limit=5, required_state=LAZY)
    asked["extensions"] = {
        name: {"enabled": True} for name in ("account_data", "receipts", "typing", "to_device", "e2ee")
    }
    first = await sliding.ask(ALICE, asked)
    sliding.reads = 0
    waiting = asyncio.ensure_future(sliding.ask(ALICE, asked, first["pos"], timeout_ms=30_000))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    said = sliding.send(ROOM, BOB, body="news")

    second = await waiting
    assert event_ids(second["rooms"][ROOM]["timeline"]) == [said]
    assert sliding.reads == 0
