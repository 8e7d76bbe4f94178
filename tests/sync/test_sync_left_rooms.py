"""Rooms that were left: what is told of them is what they were when the user was in them, and no more."""

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
