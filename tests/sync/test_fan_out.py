"""Bells that ring by the hundred: gone through in rounds, each reader once."""

import asyncio

import pytest

from homeserver.sync.fan_out import ROUND_MAX, Bell, FanOut

TOLD = True


class Reader:
    """Sleeps, and does what its listener says."""

    def __init__(self, fan_out, *answers):
        self.bell = Bell(fan_out)
        self.answers = list(answers)
        self.asked = self.woken = 0
        self.error = None
        self.task = asyncio.ensure_future(self._sleep())

    async def _sleep(self):
        while True:
            try:
                await self.bell.listen(self._tell)
            except ValueError as error:
                self.error = error
            self.woken += 1
            self.bell.clear()

    def _tell(self):
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if answer is True:
            self.bell.clear()
        return answer


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def make():
    fan_out, readers = FanOut(), []

    async def make(*answers):
        readers.append(Reader(fan_out, *answers))
        await asyncio.sleep(0)
        return readers[-1]

    yield make
    for reader in readers:
        reader.task.cancel()


async def test_a_listener_that_can_tell_leaves_its_reader_asleep(make):
    reader = await make(TOLD)
    reader.bell.ring_alike()
    await settle()

    assert (reader.asked, reader.woken) == (1, 0)


async def test_rings_before_a_round_are_one(make):
    reader = await make(TOLD)
    for _ in range(5):
        reader.bell.ring_alike()
    await settle()

    assert reader.asked == 1


async def test_what_is_the_readers_alone_wakes_at_once(make):
    reader = await make()
    reader.bell.ring()
    await settle()

    assert (reader.asked, reader.woken) == (0, 1)


async def test_who_cannot_tell_is_woken(make):
    reader = await make(None)
    reader.bell.ring_alike()
    await settle()

    assert (reader.asked, reader.woken) == (1, 1)


async def test_the_first_of_many_is_woken_and_the_others_come_again(make):
    first, second, other = await make("key"), await make("key", TOLD), await make("other key")
    for reader in (first, second, other):
        reader.bell.ring_alike()
    await settle()

    assert [reader.woken for reader in (first, second, other)] == [1, 0, 1]
    assert second.asked == 2


async def test_nobody_comes_again_twice(make):
    first, second = await make("key"), await make("key", "key")
    for reader in (first, second):
        reader.bell.ring_alike()
    await settle()

    assert [reader.woken for reader in (first, second)] == [1, 1]


async def test_the_loop_does_other_things_between_rounds(make):
    readers = [await make(TOLD) for _ in range(3 * ROUND_MAX)]
    for reader in readers:
        reader.bell.ring_alike()
    await asyncio.sleep(0)
    asked = sum(reader.asked for reader in readers)
    await settle()

    assert asked == ROUND_MAX
    assert all(reader.asked == 1 for reader in readers)


async def test_an_error_of_a_listener_ends_its_readers_sleep_and_no_others(make):
    broken, whole = await make(ValueError("broken")), await make(TOLD)
    for reader in (broken, whole):
        reader.bell.ring_alike()
    await settle()

    assert (str(broken.error), broken.woken) == ("broken", 1)
    assert (whole.asked, whole.woken) == (1, 0)


async def test_a_ring_while_the_reader_is_awake_is_not_lost(make):
    reader = await make(None)
    reader.bell.ring_alike()
    await asyncio.sleep(0)
    assert reader.asked == 1
    reader.bell.ring_alike()  # its sleep has ended, but it does not run yet
    await settle()

    assert reader.woken >= 1


async def test_who_is_gone_is_passed_over(make):
    reader = await make(TOLD)
    reader.bell.ring_alike()
    reader.task.cancel()
    await settle()

    assert reader.asked == 0
