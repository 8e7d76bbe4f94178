"""Sliding sync: which rooms belong to a list, in which order, and which are in its windows."""

import pytest

from tests.sync.sliding_world import event_ids, room_list
from tests.sync.sync_asking import ALICE, BOB, ROOM

ROOMS = [f"!room{number}:example.org" for number in range(5)]


async def listed(sliding, **filters):
    """The rooms that pass a filter."""
    asked = {"ranges": [[0, 99]], "timeline_limit": 0, "required_state": [], "filters": filters}
    answer = await sliding.ask(ALICE, {"lists": {"all": asked}})
    assert answer["lists"]["all"]["count"] == len(answer["rooms"])
    return set(answer["rooms"])


async def test_a_window_holds_the_rooms_with_the_latest_events(sliding):
    for room_id in ROOMS:
        sliding.create(room_id, ALICE)
    sliding.send(ROOMS[1], ALICE, body="up")

    first = await sliding.ask(ALICE, room_list(last=1))
    assert list(first["rooms"]) == [ROOMS[1], ROOMS[4]]
    assert first["lists"]["all"]["count"] == 5

    sliding.send(ROOMS[0], ALICE, "m.room.topic", "", topic="any event counts")
    second = await sliding.ask(ALICE, room_list(last=1), first["pos"])
    assert list(second["rooms"]) == [ROOMS[0]]
    assert second["rooms"][ROOMS[0]]["initial"] is True


async def test_a_room_that_falls_out_of_the_window_is_caught_up_with_when_it_comes_back(sliding):
    for room_id in ROOMS:
        sliding.create(room_id, ALICE)
    first = await sliding.ask(ALICE, room_list(last=0))
    assert list(first["rooms"]) == [ROOMS[4]]
    missed = sliding.send(ROOMS[4], ALICE, body="missed")
    sliding.send(ROOMS[0], ALICE, body="up")
    second = await sliding.ask(ALICE, room_list(last=0), first["pos"])
    assert list(second["rooms"]) == [ROOMS[0]]
    assert "initial" in second["rooms"][ROOMS[0]]

    caught = sliding.send(ROOMS[4], ALICE, body="up again")
    entry = (await sliding.ask(ALICE, room_list(last=0), second["pos"]))["rooms"][ROOMS[4]]
    assert "initial" not in entry
    assert event_ids(entry["timeline"]) == [missed, caught]
    assert entry["num_live"] == 1


async def test_several_ranges_are_put_together_and_none_is_all(sliding):
    for room_id in ROOMS:
        sliding.create(room_id, ALICE)
    asked = room_list()
    asked["lists"]["all"]["ranges"] = [[0, 0], [3, 3], [7, 9]]
    assert set((await sliding.ask(ALICE, asked))["rooms"]) == {ROOMS[4], ROOMS[1]}
    del asked["lists"]["all"]["ranges"]
    assert set((await sliding.ask(ALICE, asked))["rooms"]) == set(ROOMS)


async def test_a_window_that_grows_tells_the_rooms_that_are_new_in_it(sliding):
    for room_id in ROOMS:
        sliding.create(room_id, ALICE)
    first = await sliding.ask(ALICE, room_list(last=1))
    second = await sliding.ask(ALICE, room_list(last=99), first["pos"], timeout_ms=30_000)
    assert set(second["rooms"]) == set(ROOMS[:3])


async def test_lists_and_subscriptions_of_one_room_are_put_together(sliding):
    sliding.create(ROOM, ALICE)
    sliding.send(ROOM, ALICE, "m.room.topic", "", topic="This")
    asked = {
        "lists": {"all": {"ranges": [[0, 9]], "timeline_limit": 1, "required_state": [["m.room.topic", ""]]}},
        "room_subscriptions": {ROOM: {"timeline_limit": 3, "required_state": [["m.room.create", ""]]}},
    }
    entry = (await sliding.ask(ALICE, asked))["rooms"][ROOM]
    assert len(entry["timeline"]) == 3
    assert {event["type"] for event in entry["required_state"]} == {"m.room.topic", "m.room.create"}


async def test_subscriptions_to_rooms_that_are_not_ones_own_are_ignored(sliding):
    sliding.create(ROOM, BOB)
    asked = {
        "room_subscriptions": {
            room_id: {"timeline_limit": 5} for room_id in (ROOM, "!none:example.org", "no room")
        }
    }
    answer = await sliding.ask(ALICE, asked)
    assert (answer["rooms"], answer["lists"]) == ({}, {})


async def test_a_room_that_was_left_long_ago_may_be_subscribed_to_as_it_was_then(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    left = sliding.member(ROOM, ALICE, "leave")
    sliding.send(ROOM, BOB, body="behind their back")
    asked = {"room_subscriptions": {ROOM: {"timeline_limit": 5}}}
    first = await sliding.ask(ALICE, asked)
    assert event_ids(first["rooms"][ROOM]["timeline"])[-1] == left
    assert (await sliding.ask(ALICE, asked, first["pos"]))["rooms"] == {}


async def test_a_room_that_was_forgotten_is_nowhere(sliding):
    sliding.create(ROOM, BOB)
    sliding.member(ROOM, ALICE, "join")
    sliding.member(ROOM, ALICE, "leave", sender=BOB)
    asked = {"room_subscriptions": {ROOM: {"timeline_limit": 5}}}
    for ask in (asked, room_list()):
        assert ROOM in (await sliding.ask(ALICE, ask))["rooms"], "who was thrown out keeps seeing it"

    sliding.forget(ROOM, ALICE)

    for ask in (asked, room_list()):
        assert (await sliding.ask(ALICE, ask))["rooms"] == {}


async def test_filter_by_direct_chat_and_tags_as_they_are_now(sliding):
    for room_id in ROOMS[:3]:
        sliding.create(room_id, ALICE)
    sliding.keep(ALICE, "m.direct", {BOB: [ROOMS[0]], "odd": "no list", "odder": [1]})
    sliding.keep(ALICE, "m.tag", {"tags": {"m.favourite": {}}}, ROOMS[0])
    sliding.keep(ALICE, "m.tag", {"tags": {"u.work": {}}}, ROOMS[1])

    assert await listed(sliding, is_dm=True) == {ROOMS[0]}
    assert await listed(sliding, is_dm=False) == {ROOMS[1], ROOMS[2]}
    assert await listed(sliding, tags=["m.favourite", "u.work"]) == {ROOMS[0], ROOMS[1]}
    assert await listed(sliding, not_tags=["u.work"]) == {ROOMS[0], ROOMS[2]}
    assert await listed(sliding, tags=["u.work"], not_tags=["u.work"]) == set()
    assert await listed(sliding, tags=["m.favourite"], is_dm=False) == set()

    sliding.keep(ALICE, "m.direct", {BOB: [ROOMS[2]]})
    sliding.keep(ALICE, "m.tag", None, ROOMS[0])
    assert await listed(sliding, is_dm=True) == {ROOMS[2]}
    assert await listed(sliding, tags=["m.favourite"]) == set()
    answer = await sliding.ask(ALICE, room_list())
    assert [room_id for room_id, room in answer["rooms"].items() if room.get("is_dm")] == [ROOMS[2]]


async def test_filter_by_what_the_room_is_as_it_is_now(sliding):
    plain, space, invited = ROOMS[:3]
    sliding.create(plain, ALICE)
    sliding.send(space, ALICE, "m.room.create", "", room_version="11", type="m.space")
    sliding.member(space, ALICE, "join")
    sliding.create(invited, BOB)
    sliding.send(invited, BOB, "m.room.encryption", "", algorithm="m.megolm.v1.aes-sha2")
    sliding.member(invited, ALICE, "invite", sender=BOB)
    sliding.send(plain, ALICE, "m.room.name", "", name="Tea and Biscuits")

    assert await listed(sliding, room_types=["m.space"]) == {space}
    assert await listed(sliding, room_types=[None]) == {plain, invited}
    assert await listed(sliding, not_room_types=["m.space"]) == {plain, invited}
    assert await listed(sliding, not_room_types=[None]) == {space}
    assert await listed(sliding, room_types=["m.space"], not_room_types=["m.space"]) == set()
    assert await listed(sliding, is_encrypted=True) == {invited}
    assert await listed(sliding, is_invite=True) == {invited}
    assert await listed(sliding, is_invite=False) == {plain, space}
    assert await listed(sliding, room_name_like="tea") == {plain}

    sliding.send(plain, ALICE, "m.room.encryption", "", algorithm="m.megolm.v1.aes-sha2")
    assert await listed(sliding, is_encrypted=True) == {plain, invited}
    assert await listed(sliding, is_encrypted=False) == {space}


async def test_filter_by_space(sliding):
    space, other, child, stranger = ROOMS[:4]
    for room_id in (child, stranger):
        sliding.create(room_id, ALICE)
    for room_id, owner in ((space, ALICE), (other, BOB)):
        sliding.send(room_id, owner, "m.room.create", "", room_version="11", type="m.space")
        sliding.member(room_id, owner, "join")
    sliding.send(space, ALICE, "m.space.child", child, via=["example.org"])
    sliding.send(space, ALICE, "m.space.child", stranger, via=[])
    sliding.send(other, BOB, "m.space.child", stranger, via=["example.org"])

    assert await listed(sliding, spaces=[space, other, "!none:example.org"]) == {child}
    sliding.send(space, ALICE, "m.space.child", stranger, via=["example.org"])
    assert await listed(sliding, spaces=[space]) == {child, stranger}
    assert await listed(sliding, spaces=[]) == set()


@pytest.mark.parametrize("filters", [{"is_dm": None}, {}, {"unknown": 1}])
async def test_a_filter_without_a_condition_lets_everything_pass(sliding, filters):
    sliding.create(ROOM, ALICE)
    assert await listed(sliding, **filters) == {ROOM}
