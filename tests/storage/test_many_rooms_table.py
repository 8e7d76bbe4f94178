"""Reads of many rooms at once: states that went back, events that have moved, and what is left out."""

import pytest

from storage.tables.events import Events
from storage.tables.many_rooms import STATE_KEYS_MAX, ManyRooms, PageAsked, Place
from tests.storage.conftest import RULES
from tests.storage.test_tables import Room

TOPIC, MEMBER = "m.room.topic", "m.room.member"


@pytest.fixture
async def room(database, journal, make_event):
    return await Room(database, journal, make_event).create()


@pytest.fixture
def many(database):
    return ManyRooms(database, Events(database))


async def change(database, room, position, type_, state_key, nid):
    """Let the state change without an event of its own, as state resolution does."""
    await database.execute(
        "INSERT INTO state_changes (room_nid, position, type_nid, state_key_nid, nid)"
        " VALUES (%b::bigint, %b::bigint, %b::integer, %b::integer, %b::bigint)",
        room.nid, position, await room.interning.nid("type", type_),
        await room.interning.nid("state_key", state_key), nid,
    )  # fmt: skip


def ids(events):
    return [event.event_id for event in events]


async def test_what_state_resolution_brought_back_is_the_state_from_then_on(room, many, database):
    first, old = await room.send(TOPIC, "", topic="old")
    second, new = await room.send(TOPIC, "", topic="new")
    third, _ = await room.send(body="hello")
    assert await many.resets([(room.nid, first, third)]) == [{}]
    await change(database, room, third, TOPIC, "", first)

    (found,) = await many.resets([(room.nid, first, third)])
    assert {place: ids(events) for place, events in found.items()} == {third: ids([old])}
    assert await many.resets([(room.nid, first, second), (room.nid + 1, first, third)]) == [{}, {}]
    places = [Place(room.nid, place) for place in (first - 1, first, second, third)]
    states = await many.states(places, [RULES] * 4)
    assert [ids(state) for state in states] == [[], ids([old]), ids([new]), ids([old])]
    topic = (await room.interning.nid("type", TOPIC), await room.interning.nid("state_key", ""))
    pieces = await many.pieces(places, [[topic]] * 4, [RULES] * 4)
    assert [ids(state) for state in pieces] == [ids(state) for state in states]


async def test_an_event_that_has_moved_is_found_where_it_is_and_what_is_lost_is_not(room, many, database):
    first, moved = await room.send("m.room.name", "", name="x")
    second, _ = await room.send(TOPIC, "", topic="lost")
    third, _ = await room.send(body="hello")
    nid = first - 5
    await database.execute(
        "INSERT INTO moved_events (room_nid, nid, position) VALUES (%b::bigint, %b::bigint, %b::bigint)",
        room.nid, nid, first,
    )  # fmt: skip
    await change(database, room, third, "m.room.name", "", nid)
    await change(database, room, third, TOPIC, "", 0)

    states = await many.states([Place(room.nid, second), Place(room.nid, third)], [RULES] * 2)
    assert [len(state) for state in states] == [2, 1]
    assert ids(states[1]) == ids([moved])


async def test_of_members_only_those_are_read_who_are_asked_for(room, many):
    _, topic = await room.send(TOPIC, "", topic="x")
    members = {}
    for name in "abc":
        _, members[name] = await room.send(MEMBER, f"@{name}:x", membership="join")
        place, members[name] = await room.send(MEMBER, f"@{name}:x", membership="leave")
    type_nid = await room.interning.nid("type", MEMBER)
    a, c = [await room.interning.nid("state_key", f"@{name}:x") for name in "ac"]

    states = await many.states_but_for([Place(room.nid, place)] * 3, type_nid, [[a, c], [], [c]], [RULES] * 3)
    assert [ids(state) for state in states] == [
        ids([topic, members["a"], members["c"]]), ids([topic]), ids([topic, members["c"]]),
    ]  # fmt: skip


async def test_a_room_with_very_many_pieces_is_left_to_be_read_by_itself(room, many):
    for number in range(STATE_KEYS_MAX - 1):
        place, _ = await room.send("m.any", str(number))
    later, _ = await room.send("m.any", "last")

    whole, large = await many.states([Place(room.nid, place), Place(room.nid, later)], [RULES] * 2)
    assert len(whole) == STATE_KEYS_MAX - 1
    assert large is None


async def test_pages_go_back_from_their_places_newest_first(room, many):
    sent = [await room.send(body=str(number)) for number in range(5)]
    asked = [PageAsked(room.nid, sent[3][0], 3), PageAsked(room.nid + 1, sent[3][0], 3)]

    page, nothing = await many.pages(asked, [RULES] * 2)
    assert [shown.event.event_id for shown in page] == ids([event for _, event in sent[3:0:-1]])
    assert [shown.position for shown in page] == [place for place, _ in sent[3:0:-1]]
    assert not any(shown.has_children for shown in page)
    assert nothing == []
