"""Sliding sync: connections, their positions, and how many of them are remembered."""

import asyncio

import pytest

from homeserver.core.errors import InvalidParam, UnknownPos
from homeserver.core.positions import SyncToken
from homeserver.runtime.randomness import SystemRandomness
from homeserver.sync.sliding.connections import Connections, Place, RoomSent
from tests.sync.sliding_world import event_ids, room_list
from tests.sync.sync_asking import ALICE, BOB, ROOM
from tests.sync.sync_world import requester


async def test_an_answer_that_got_lost_is_given_again_and_older_positions_are_over(sliding):
    sliding.create(ROOM, ALICE)
    first = await sliding.ask(ALICE, room_list())
    said = sliding.send(ROOM, ALICE, body="hello")
    second = await sliding.ask(ALICE, room_list(), first["pos"])
    repeated = await sliding.ask(ALICE, room_list(), first["pos"])
    for answer in (second, repeated):
        assert event_ids(answer["rooms"][ROOM]["timeline"]) == [said]
    with pytest.raises(UnknownPos):  # it was taken back by the repetition
        await sliding.ask(ALICE, room_list(), second["pos"])
    await sliding.ask(ALICE, room_list(), repeated["pos"])
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), first["pos"])


async def test_a_position_is_of_one_connection_of_one_session(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    one = room_list() | {"conn_id": "one"}
    pos = (await sliding.ask(ALICE, one))["pos"]
    for user_id, asked, session_id in ((ALICE, room_list(), 1), (ALICE, one, 2), (BOB, one, 3)):
        with pytest.raises(UnknownPos):
            await sliding.ask(user_id, asked, pos, session_id=session_id)
    for strange in ("", "x", pos + "1", "\0"):
        with pytest.raises(UnknownPos):
            await sliding.ask(ALICE, one, strange)
    other = room_list() | {"conn_id": "two", "txn_id": "t"}
    answer = await sliding.ask(ALICE, other)
    assert answer["rooms"][ROOM]["initial"] is True
    assert answer["txn_id"] == "t"
    assert (await sliding.ask(ALICE, one, pos))["rooms"] == {}


async def test_beginning_again_and_a_crash_end_what_was(sliding):
    sliding.create(ROOM, ALICE)
    first = await sliding.ask(ALICE, room_list())
    second = await sliding.ask(ALICE, room_list())
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), first["pos"])
    await sliding.start()
    with pytest.raises(UnknownPos):
        await sliding.ask(ALICE, room_list(), second["pos"])
    assert (await sliding.ask(ALICE, room_list()))["rooms"][ROOM]["initial"] is True


async def test_a_request_that_another_overtook_leaves_no_trace(sliding):
    sliding.create(ROOM, ALICE)
    first = await sliding.ask(ALICE, room_list())
    abandoned = asyncio.ensure_future(sliding.ask(ALICE, room_list(), first["pos"], timeout_ms=30_000))
    for _ in range(5):
        await asyncio.sleep(0)
    second = await sliding.ask(ALICE, room_list(last=5), first["pos"])
    sliding.send(ROOM, ALICE, body="hello")
    await abandoned
    assert ROOM in (await sliding.ask(ALICE, room_list(), second["pos"]))["rooms"]


async def test_a_first_request_does_not_wait(sliding):
    answer = await sliding.ask(ALICE, room_list(), timeout_ms=30_000)
    assert (answer["rooms"], answer["lists"]["all"]["count"]) == ({}, 0)


def kept(connections, session_id, conn_id, rooms=0):
    """Begin a connection and bring it to a place."""
    who = requester(ALICE, session_id)
    _, turn = connections.begin(who, conn_id)
    sent = {str(number): RoomSent(None, 1, frozenset()) for number in range(rooms)}
    place = Place(token=SyncToken(), rooms=sent)
    connections.advance(who, conn_id, turn, place)
    return who, conn_id, place.pos


def is_known(connections, who, conn_id, pos):
    try:
        connections.find(who, conn_id, pos)
    except UnknownPos:
        return False
    return True


def test_a_session_has_a_few_connections_and_loses_the_one_used_longest_ago():
    connections = Connections(SystemRandomness(), per_session_max=2)
    a, b = kept(connections, 1, "a"), kept(connections, 1, "b")
    assert is_known(connections, *a)
    c = kept(connections, 1, None)
    assert [is_known(connections, *each) for each in (a, b, c)] == [True, False, True]


def test_all_connections_together_are_bounded_by_what_they_hold():
    connections = Connections(SystemRandomness(), entries_max=100)
    first, second = kept(connections, 1, None, rooms=40), kept(connections, 2, None, rooms=40)
    assert is_known(connections, *first)
    third = kept(connections, 3, None, rooms=40)
    assert [is_known(connections, *each) for each in (first, second, third)] == [True, False, True]
    # One that is alone is kept however large it is.
    large = kept(connections, 4, None, rooms=400)
    assert is_known(connections, *large)
    assert not is_known(connections, *first)
    for session_id in (2, 3, 4):
        connections.begin(requester(ALICE, session_id), None)
    assert connections._entries == 0


@pytest.mark.parametrize(
    "body",
    [
        {"lists": {str(number): {"timeline_limit": 1} for number in range(101)}},
        {"lists": {"ä" * 33: {"timeline_limit": 1}}},
        {"lists": {"all": {"timeline_limit": 1, "ranges": [[3, 2]]}}},
        {"room_subscriptions": {f"!{number}:x": {"timeline_limit": 1} for number in range(1001)}},
    ],
)
async def test_what_is_too_much_is_refused(sliding, body):
    with pytest.raises(InvalidParam):
        await sliding.ask(ALICE, body)
