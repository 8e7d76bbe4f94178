"""In which section of a sync a room belongs, whatever became of the user's membership between two syncs."""

import pytest

from homeserver.core.positions import SyncToken, make
from tests.sync.sync_asking import ALICE, BOB, ROOM, ids, sync
from tests.sync.sync_world import START_MS

INVITE, JOIN, KNOCK, LEAVE = "invite", "join", "knock", "leave"


async def sections(world, before, then):
    """Let Bob become one thing after the other, sync, and so again: the sections that have the room then."""
    world.create(ROOM, ALICE)
    for membership in before:
        world.member(ROOM, BOB, membership, sender=BOB if membership in {JOIN, KNOCK} else ALICE)
    since = (await sync(world, BOB))["next_batch"]
    for membership in then:
        world.member(ROOM, BOB, membership, sender=BOB if membership in {JOIN, KNOCK} else ALICE)
    answer = await sync(world, BOB, since)
    assert "rooms" not in await sync(world, BOB, answer["next_batch"]), "once"
    return {name: rooms[ROOM] for name, rooms in answer.get("rooms", {}).items()}


@pytest.mark.parametrize(
    ("before", "then", "section"),
    [
        ([], [INVITE], INVITE),
        ([], [KNOCK], KNOCK),
        ([INVITE], [LEAVE], LEAVE),
        ([INVITE], ["ban"], LEAVE),
        ([], ["ban"], LEAVE),
        ([KNOCK], [LEAVE], LEAVE),
        ([KNOCK], [INVITE], INVITE),
        ([KNOCK], [JOIN], JOIN),
        ([KNOCK], [INVITE, JOIN], JOIN),
        ([INVITE], [JOIN], JOIN),
        ([JOIN], [LEAVE, INVITE], INVITE),
        ([JOIN], [LEAVE, KNOCK], KNOCK),
        ([JOIN], [LEAVE, JOIN], JOIN),
        ([JOIN], [LEAVE, JOIN, LEAVE], LEAVE),
        ([JOIN], ["ban"], LEAVE),
        ([JOIN, LEAVE], [INVITE, LEAVE], LEAVE),
    ],
)
async def test_a_room_is_in_the_section_of_what_the_user_is_to_it_in_the_end(world, before, then, section):
    assert (await sections(world, before, then)).keys() == {section}


@pytest.mark.parametrize("then", [[INVITE, LEAVE], [KNOCK, LEAVE]])
async def test_what_came_and_went_between_two_syncs_is_told_nowhere(world, then):
    assert await sections(world, [], then) == {}


async def test_who_came_back_has_the_state_whole_and_a_gap(world):
    room = (await sections(world, [JOIN], [LEAVE, JOIN]))[JOIN]

    assert room["timeline"]["limited"]
    told = {event["type"] for part in ("state", "timeline") for event in room[part]["events"]}
    assert {"m.room.create", "m.room.power_levels", "m.room.member"} <= told


async def test_an_offered_room_has_stripped_state_with_the_create_event(world):
    events = (await sections(world, [], [KNOCK]))[KNOCK]["knock_state"]["events"]

    assert all(event.keys() == {"type", "state_key", "sender", "content"} for event in events)
    assert {"m.room.create", "m.room.member"} <= {event["type"] for event in events}


async def test_no_events_and_very_many_are_asked_for(world):
    world.create(ROOM, ALICE)
    since = (await sync(world, ALICE))["next_batch"]
    renamed = world.send(ROOM, ALICE, "m.room.name", "", name="new")
    said = world.send(ROOM, ALICE, body="said")

    def wanted(limit):
        return {"room": {"timeline": {"limit": limit}}}

    none = (await sync(world, ALICE, since, wanted(0)))["rooms"]["join"][ROOM]
    assert (ids(none["timeline"]), none["timeline"]["limited"]) == ([], True)
    assert ids(none["state"]) == [renamed], "what changed in the gap, which reaches to the end"
    place = int(none["timeline"]["prev_batch"].removeprefix("p"))
    assert (await world.events_until(ROOM, place, 1, None))[0].event.event_id == said
    many = (await sync(world, ALICE, since, wanted(10**9)))["rooms"]["join"][ROOM]
    assert (ids(many["timeline"]), many["timeline"]["limited"]) == ([renamed, said], False)


async def test_a_token_of_the_future_or_of_a_writer_that_is_unknown_here_is_never_taken_back(world):
    world.create(ROOM, ALICE)
    here = SyncToken.parse((await sync(world, ALICE))["next_batch"])
    for ahead in (here.advance(make(START_MS + 10**9, 0, 0)), here.advance(make(START_MS, 7, 0))):
        answer = await sync(world, ALICE, ahead.encode())
        assert SyncToken.parse(answer["next_batch"]).covers_all_of(ahead)
        assert "rooms" not in answer
