"""Lazily loaded members: who is told, to whom, and who is told again."""

import pytest

from tests.sync.sync_asking import ALICE, BOB, CAROL, ROOM, sync
from tests.sync.sync_world import World

LAZY = {"room": {"timeline": {"limit": 1}, "state": {"lazy_load_members": True}}}


@pytest.fixture
async def world():
    world = World()
    await world.start()
    world.create(ROOM, ALICE)
    for user_id in (BOB, CAROL):
        world.member(ROOM, user_id, "join")
    yield world
    world.notifier.stop()


def members(answer, name="state"):
    part = answer["rooms"]["join"][ROOM]
    events = [*part[name]["events"], *part["timeline"]["events"]]
    return {
        event["state_key"]: event["content"]["membership"]
        for event in events
        if event["type"] == "m.room.member"
    }


@pytest.mark.parametrize(("use_state_after", "name"), [(False, "state"), (True, "state_after")])
async def test_who_left_and_came_back_between_two_syncs_hears_who_changed_meanwhile(
    world, use_state_after, name
):
    world.send(ROOM, CAROL, body="hello")
    options = {"use_state_after": use_state_after, "state_after_name": name.encode()}
    first = await sync(world, BOB, wanted=LAZY, **options)
    assert members(first, name)[CAROL] == "join"
    world.member(ROOM, CAROL, "leave")
    world.member(ROOM, BOB, "leave")
    world.member(ROOM, BOB, "join")
    back = await sync(world, BOB, first["next_batch"], LAZY, **options)

    assert back["rooms"]["join"][ROOM]["timeline"]["limited"]
    told = members(back, name)
    assert (told[BOB], told[CAROL]) == ("join", "leave")


async def test_a_full_state_tells_also_who_changed_in_the_gap(world):
    world.send(ROOM, CAROL, body="hello")
    first = await sync(world, BOB, wanted=LAZY)
    world.member(ROOM, CAROL, "leave")
    for number in range(3):
        world.send(ROOM, ALICE, body=str(number))
    full = await sync(world, BOB, first["next_batch"], LAZY, full_state=True)

    assert members(full)[CAROL] == "leave"


@pytest.fixture
def members_asked_for(world, monkeypatch):
    """Which members each question about a state was limited to."""
    asked, state_at = [], world.state_at

    async def noted(room_id, position, *, members=None):
        asked.append(members)
        return await state_at(room_id, position, members=members)

    monkeypatch.setattr(world, "state_at", noted)
    return asked


async def test_where_all_members_are_told_the_whole_state_is_asked_for(world, members_asked_for):
    world.send(ROOM, ALICE, body="hello")
    told = members(await sync(world, BOB, wanted=LAZY))

    assert told.keys() == {ALICE, BOB, CAROL}  # who speaks, who asks, and whom the room is named by
    assert members_asked_for == [None]


async def test_who_left_long_ago_is_not_told_where_all_others_are(world, members_asked_for):
    others = [f"@user{number}:example.org" for number in range(5)]
    for user_id in others:
        world.member(ROOM, user_id, "join")
    world.member(ROOM, CAROL, "leave")
    world.member(ROOM, ALICE, "leave")
    world.send(ROOM, others[0], body="hello")
    told = members(await sync(world, BOB, wanted=LAZY))

    assert told.keys() == {BOB, *others}
    assert members_asked_for == [told.keys()]
