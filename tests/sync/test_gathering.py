"""Waking for what may wait a moment."""

import asyncio

import pytest

from homeserver.sync.gathering import Gathering


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
