"""Waking for what may wait a moment."""

import asyncio

import pytest

from homeserver.sync.gathering import Gathering, RoomGathering
from tests.sync.later import Later


class Reader:
    def __init__(self):
        self.marks = self.rings = 0

    def mark(self):
        self.marks += 1

    def ring(self):
        self.rings += 1


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.fixture
async def make():
    made = []

    def make(gather_s):
        made.append(Gathering(gather_s))
        return made[-1]

    yield make
    for each in made:
        each.close()


async def test_the_first_in_a_while_is_told_at_once_and_of_one_commit_once(make):
    gathering, reader, other = make(3_600), Reader(), Reader()
    for _ in range(3):
        gathering.add(reader)
    gathering.add(other)
    await settle()

    assert (reader.marks, reader.rings, other.rings) == (3, 1, 1)


async def test_what_comes_after_that_waits_but_is_not_forgotten(make):
    gathering, reader = make(3_600), Reader()
    gathering.add(reader)
    await settle()
    for _ in range(3):
        gathering.add(reader)
        await settle()
    assert (reader.marks, reader.rings) == (4, 1)

    gathering._wake()  # the moment is over
    assert reader.rings == 2


async def test_after_a_moment_without_news_the_next_is_at_once_again(make):
    gathering, reader = make(0), Reader()
    for number in range(3):
        gathering.add(reader)
        await settle()
        assert reader.rings == number + 1


async def test_nobody_is_woken_after_the_end(make):
    gathering, reader = make(0), Reader()
    gathering.add(reader)
    gathering.close()
    await settle()

    assert reader.rings == 0


ROOM, OTHER = "!room:example.org", "!other:example.org"


@pytest.fixture
def rooms():
    """Rooms with a clock, and the list of those whose readers were woken."""
    later, woken = Later(), []
    return RoomGathering(woken.append, 1.0, later), later, woken


def test_the_first_in_a_room_is_not_held_back_and_what_follows_is_until_the_moment_is_over(rooms):
    gathering, later, woken = rooms
    assert not gathering.holds_back(ROOM)
    later.advance(0.4)
    assert gathering.holds_back(ROOM)
    assert gathering.holds_back(ROOM)
    assert not gathering.holds_back(OTHER)
    later.advance(0.5)
    assert woken == []
    later.advance(0.2)
    assert woken == [ROOM]


def test_moments_follow_each_other_for_as_long_as_there_is_more(rooms):
    gathering, later, woken = rooms
    gathering.holds_back(ROOM)
    for number in range(1, 4):
        assert gathering.holds_back(ROOM)
        later.advance(1.0)
        assert woken == [ROOM] * number
    later.advance(1.0)
    assert woken == [ROOM] * 3
    assert not gathering.holds_back(ROOM)


def test_nobody_is_woken_for_what_came_with_something_else(rooms):
    gathering, later, woken = rooms
    gathering.holds_back(ROOM)
    gathering.holds_back(ROOM)
    gathering.tell(ROOM)
    gathering.tell(OTHER)
    later.advance(5.0)
    assert woken == []
    gathering.holds_back(ROOM)
    gathering.tell(ROOM)
    assert gathering.holds_back(ROOM)
    later.advance(1.0)
    assert woken == [ROOM]


def test_no_room_is_woken_after_the_end(rooms):
    gathering, later, woken = rooms
    gathering.holds_back(ROOM)
    gathering.holds_back(ROOM)
    gathering.close()
    later.advance(5.0)
    assert woken == []
    assert later.waiting == 0
