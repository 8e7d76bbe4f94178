"""Sliding sync: invites by ignored users, which are not told, and the leaving before them, which is."""

import pytest

from tests.sync.sliding_world import EVERYTHING, MEMBER, event_ids, room_list
from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM


@pytest.fixture(params=["ignores", "blocks invites"])
async def room(request, sliding):
    """A room of Bob's that Alice is in; she does not want to be invited by him."""
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    if request.param == "ignores":
        sliding.ignore(ALICE, BOB)
    else:
        sliding.keep(ALICE, "m.invite_permission_config", {"default_action": "block"})
    return ROOM


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_who_left_and_is_asked_back_by_somebody_whom_they_ignore_is_told_that_they_left(
    sliding, room, is_restarted
):
    first = await sliding.ask(ALICE, room_list())
    left = sliding.member(room, ALICE, "leave")
    sliding.send(room, BOB, "m.room.name", "", name="Behind her back")
    sliding.member(room, ALICE, "invite", sender=BOB)
    if is_restarted:
        await sliding.restart()

    second = await sliding.ask(ALICE, room_list(), first["pos"])
    entry = second["rooms"][room]
    assert event_ids(entry["timeline"]) == event_ids(entry["required_state"]) == [left]
    assert not {"initial", "name", "invite_state", "joined_count"} & entry.keys()
    sliding.member(room, ALICE, "invite", sender=BOB)
    third = await sliding.ask(ALICE, room_list(), second["pos"])
    assert (third["rooms"], third["lists"]["all"]["count"]) == ({}, 0)
    assert (await sliding.ask(ALICE, room_list()))["rooms"] == {}


async def test_the_room_is_in_no_list_of_invites_and_may_be_subscribed_to(sliding, room):
    asked = room_list(filters={"is_invite": True}) | {
        "room_subscriptions": {room: {"timeline_limit": 5, "required_state": EVERYTHING}}
    }
    first = await sliding.ask(ALICE, asked)
    banned = sliding.member(room, ALICE, "ban", sender=BOB)
    sliding.member(room, ALICE, "leave", sender=BOB)
    sliding.member(room, ALICE, "invite", sender=BOB)

    second = await sliding.ask(ALICE, asked, first["pos"])
    assert second["lists"]["all"]["count"] == 0
    assert event_ids(second["rooms"][room]["timeline"]) == [banned]
    assert (await sliding.ask(ALICE, asked, second["pos"]))["rooms"] == {}


async def test_who_was_away_and_back_before_is_told_the_room_anew_up_to_the_last_leaving(sliding, room):
    first = await sliding.ask(ALICE, room_list())
    sliding.member(room, ALICE, "leave")
    sliding.send(room, BOB, "m.room.topic", "", topic="New")
    sliding.member(room, ALICE, "join")
    left = sliding.member(room, ALICE, "leave")
    sliding.member(room, ALICE, "invite", sender=BOB)

    entry = (await sliding.ask(ALICE, room_list(), first["pos"]))["rooms"][room]
    assert entry["initial"] is True
    assert event_ids(entry["timeline"])[-1] == left
    assert "m.room.topic" in {event["type"] for event in entry["required_state"]}


async def test_an_invite_that_was_not_told_is_told_once_its_sender_is_heard_again(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    sliding.ignore(ALICE, BOB)
    first = await sliding.ask(ALICE, room_list())
    sliding.member(ROOM, ALICE, "leave")
    sliding.member(ROOM, ALICE, "invite", sender=BOB)
    second = await sliding.ask(ALICE, room_list(), first["pos"])
    sliding.ignore(ALICE, CAROL)

    entry = (await sliding.ask(ALICE, room_list(), second["pos"]))["rooms"][ROOM]
    assert {(event["sender"], event["type"]) for event in entry["invite_state"]} > {(BOB, MEMBER)}


async def test_who_joins_despite_the_invite_that_was_not_told_is_told_the_room_anew(sliding, room):
    first = await sliding.ask(ALICE, room_list())
    sliding.member(room, ALICE, "leave")
    sliding.member(room, ALICE, "invite", sender=BOB)
    second = await sliding.ask(ALICE, room_list(), first["pos"])
    joined = sliding.member(room, ALICE, "join")

    entry = (await sliding.ask(ALICE, room_list(), second["pos"]))["rooms"][room]
    assert entry["initial"] is True
    assert event_ids(entry["timeline"])[-1] == joined
