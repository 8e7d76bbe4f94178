"""Bells that ring by the hundred: gone through in rounds, each reader once."""

import asyncio

import pytest

from homeserver.sync import fan_out
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
    bells, readers = FanOut(), []

    async def make(*answers):
        readers.append(Reader(bells, *answers))
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


class Board:
    """What has been put together, and readers who look for it there."""

    def __init__(self):
        self.fan_out = FanOut()
        self.there = set()
        self.readers = []

    def join(self, name, *, work=None, is_shared=True):
        reader = SharingReader(self, name, work, is_shared)
        self.readers.append(reader)
        return reader

    async def ring(self):
        for reader in self.readers:
            reader.bell.ring_alike()
        await settle()


class SharingReader:
    """Told from the board; if it is not there, puts it there once it has done its work."""

    def __init__(self, board, name, work, is_shared):
        self.board, self.name, self.work, self.is_shared = board, name, work, is_shared
        self.bell = Bell(board.fan_out)
        self.pushed = self.woken = 0
        self.task = asyncio.ensure_future(self._go())

    async def _go(self):
        while True:
            await self.bell.listen(self._tell)
            self.woken += 1
            self.bell.clear()
            if self.work is not None:
                await self.work
            if self.is_shared:
                self.board.there.add(self.name)

    def _tell(self):
        if self.name not in self.board.there:
            return self.name
        self.pushed += 1
        return True


@pytest.fixture
async def board():
    board = Board()
    yield board
    for reader in board.readers:
        reader.task.cancel()


def told(readers):
    return [(reader.woken, reader.pushed) for reader in readers]


LED, FOLLOWED, LOOKED, WAITS = (1, 0), (0, 1), (1, 0), (0, 0)


async def test_the_first_of_many_leads_and_the_others_follow(board):
    readers = [board.join("key"), board.join("key"), board.join("other"), board.join("key")]
    await asyncio.sleep(0)
    await board.ring()

    assert told(readers) == [LED, FOLLOWED, LED, FOLLOWED]


async def test_who_follows_waits_until_the_leader_has_done_its_work(board):
    work = asyncio.get_running_loop().create_future()
    readers = [board.join("key", work=work), board.join("key"), board.join("other"), board.join("other")]
    await asyncio.sleep(0)
    await board.ring()
    assert told(readers) == [LED, WAITS, LED, FOLLOWED]

    await board.ring()
    assert told(readers)[:2] == [LED, WAITS], "what rings meanwhile leads nobody else"

    work.set_result(None)
    await settle()
    assert told(readers)[1] == FOLLOWED


async def test_what_cannot_be_shared_wakes_all_at_once(board):
    readers = [board.join("key", is_shared=False) for _ in range(5)]
    await asyncio.sleep(0)
    await board.ring()

    assert told(readers) == [LOOKED] * 5


async def test_a_leader_who_leaves_lets_the_others_go_on(board):
    leader, *others = [board.join("key", work=asyncio.get_running_loop().create_future()) for _ in range(3)]
    await asyncio.sleep(0)
    await board.ring()
    assert told(others) == [WAITS, WAITS]

    leader.task.cancel()
    leader.bell.follow_up()
    await settle()
    assert told(others) == [LOOKED, LOOKED]


async def test_nobody_waits_long_for_a_leader(board, monkeypatch):
    monkeypatch.setattr(fan_out, "LEAD_S_MAX", 0)
    work = asyncio.get_running_loop().create_future()
    leader, other = board.join("key", work=work), board.join("key")
    await asyncio.sleep(0)
    await board.ring()
    assert told([leader, other]) == [LED, LOOKED]

    work.set_result(None)
    await settle()
    await board.ring()
    assert told([leader, other]) == [(1, 1), (1, 1)], "it came back too late, and that harms nothing"


@pytest.mark.parametrize(("names", "remembered"), [(3, 3), (4, 1)])
async def test_only_so_much_of_what_was_led_is_remembered(board, monkeypatch, names, remembered):
    monkeypatch.setattr(fan_out, "LED_MAX", 3)
    for name in range(names):
        board.fan_out._followers[name] = ([], asyncio.get_running_loop().call_later(9, print))
        board.fan_out.go_on(name)

    assert len(board.fan_out._led) == remembered


async def test_somebody_who_waits_is_woken_by_what_is_theirs_alone(board):
    leader, other = board.join("key", work=asyncio.get_running_loop().create_future()), board.join("key")
    await asyncio.sleep(0)
    await board.ring()
    other.bell.ring()
    await settle()

    assert told([leader, other]) == [LED, LOOKED]


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
