"""Rooms that were left: what is told of them is what they were when the user was in them, and no more."""

import asyncio

import pytest

from tests.sync.sync_asking import ALICE, BOB, ROOM, ids, sync

ARCHIVE = {"room": {"include_leave": True}}


def names(part, section):
    return [event["content"]["name"] for event in part[section]["events"] if event["type"] == "m.room.name"]


def name_it(world, name):
    world.send(ROOM, ALICE, "m.room.name", "", name=name)


async def test_the_archive_tells_nothing_of_a_room_that_one_was_only_invited_to(world):
    world.create(ROOM, ALICE)
    name_it(world, "secret")
    world.member(ROOM, BOB, "invite", sender=ALICE)
    refusal = world.member(ROOM, BOB, "leave")
    name_it(world, "later")

    for section, after in (("state", False), ("state_after", True)):
        left = (await sync(world, BOB, wanted=ARCHIVE, use_state_after=after))["rooms"]["leave"][ROOM]
        assert ids(left["timeline"]) == [refusal]
        told = [event for event in left[section]["events"] if event["event_id"] != refusal]
        assert told == [], "but one's own going, nothing"


async def test_the_archive_tells_of_who_was_asked_back_in_vain_what_there_was_until_they_went(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    name_it(world, "then")
    world.member(ROOM, BOB, "leave")
    name_it(world, "now")
    world.send(ROOM, ALICE, body="not for Bob")
    world.member(ROOM, BOB, "invite", sender=ALICE)
    refusal = world.member(ROOM, BOB, "leave")

    left = (await sync(world, BOB, wanted=ARCHIVE))["rooms"]["leave"][ROOM]

    assert names(left, "state") + names(left, "timeline") == ["then"]
    assert ids(left["timeline"])[-1] == refusal
    after = (await sync(world, BOB, wanted=ARCHIVE, use_state_after=True))["rooms"]["leave"][ROOM]
    assert names(after, "state_after") == ["then"]
    own = [event["event_id"] for event in after["state_after"]["events"] if event.get("state_key") == BOB]
    assert own == [refusal]


async def test_an_increment_over_a_going_and_a_vain_invite_ends_with_the_going_too(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, BOB))["next_batch"]
    heard = world.send(ROOM, ALICE, body="for Bob")
    went = world.member(ROOM, BOB, "leave", sender=ALICE)
    name_it(world, "now")
    banned = world.member(ROOM, BOB, "ban", sender=ALICE)

    left = (await sync(world, BOB, since))["rooms"]["leave"][ROOM]

    assert ids(left["timeline"]) == [heard, went, banned]
    assert left["state"]["events"] == []


async def test_a_room_that_was_left_for_good_stays_as_it_was_in_the_archive(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    name_it(world, "then")
    went = world.member(ROOM, BOB, "leave")
    name_it(world, "now")

    left = (await sync(world, BOB, wanted=ARCHIVE))["rooms"]["leave"][ROOM]

    assert ids(left["timeline"])[-1] == went
    assert names(left, "state") + names(left, "timeline") == ["then"]
    assert "leave" not in (await sync(world, BOB)).get("rooms", {})


@pytest.mark.parametrize("is_here", [True, False])
async def test_a_room_that_was_forgotten_is_not_in_the_archive_until_one_is_asked_back(world, is_here):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    left = world.member(ROOM, BOB, "leave")
    answer = await sync(world, BOB, wanted=ARCHIVE)
    assert ids(answer["rooms"]["leave"][ROOM]["timeline"])[-1] == left

    world.forget(ROOM, BOB)
    if not is_here:
        await world.start()
    assert "rooms" not in await sync(world, BOB, wanted=ARCHIVE)
    world.member(ROOM, BOB, "ban", sender=ALICE)
    assert "rooms" not in await sync(world, BOB, wanted=ARCHIVE)
    assert "rooms" not in await sync(world, BOB, answer["next_batch"], wanted=ARCHIVE)
    world.member(ROOM, BOB, "leave", sender=ALICE)
    world.member(ROOM, BOB, "invite", sender=ALICE)
    assert ROOM in (await sync(world, BOB))["rooms"]["invite"]
    world.member(ROOM, BOB, "leave")
    assert ROOM in (await sync(world, BOB, wanted=ARCHIVE))["rooms"]["leave"]


@pytest.mark.parametrize("is_here", [True, False])
async def test_a_client_that_still_shows_the_room_hears_of_the_leaving_though_it_was_forgotten(
    world, is_here
):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    since = (await sync(world, BOB))["next_batch"]
    left = world.member(ROOM, BOB, "leave")
    world.forget(ROOM, BOB)
    if not is_here:
        await world.start()

    answer = await sync(world, BOB, since)

    assert ids(answer["rooms"]["leave"][ROOM]["timeline"]) == [left]
    assert "rooms" not in await sync(world, BOB, answer["next_batch"])


async def test_what_is_forgotten_while_the_user_is_read_is_forgotten(world):
    world.create(ROOM, ALICE)
    world.member(ROOM, BOB, "join")
    world.member(ROOM, BOB, "leave")
    read, go_on = world.memberships_of, asyncio.Event()

    async def slow(user_id):
        rows = await read(user_id)
        await go_on.wait()
        return rows

    world.memberships_of = slow
    asking = asyncio.ensure_future(sync(world, BOB, wanted=ARCHIVE))
    await asyncio.sleep(0)
    world.forget(ROOM, BOB)
    go_on.set()

    assert "rooms" not in await asking
