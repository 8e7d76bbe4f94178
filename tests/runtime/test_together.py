import asyncio

import pytest

from homeserver.runtime.together import Together, side_by_side


class Source:
    """Doubles numbers, and remembers what it was asked at once."""

    def __init__(self):
        self.asked = []
        self.gate = None

    async def read(self, asks):
        self.asked.append(list(asks))
        if self.gate is not None:
            await self.gate.wait()
        if 13 in asks:
            raise ValueError("13")
        return [2 * ask for ask in asks]


async def test_what_is_asked_in_one_turn_is_one_question_and_each_gets_its_answer():
    source = Source()
    together = Together(source.read)

    assert await asyncio.gather(*[together.ask(number) for number in range(5)]) == [0, 2, 4, 6, 8]
    assert await together.ask(7) == 14
    assert source.asked == [[0, 1, 2, 3, 4], [7]]


async def test_no_question_is_larger_than_its_bound():
    source = Source()
    together = Together(source.read, asks_max=2)

    assert await asyncio.gather(*[together.ask(number) for number in range(5)]) == [0, 2, 4, 6, 8]
    assert source.asked == [[0, 1], [2, 3], [4]]


async def test_everybody_who_waits_for_a_question_that_fails_is_told():
    together = Together(Source().read)

    results = await asyncio.gather(together.ask(1), together.ask(13), return_exceptions=True)

    assert [str(each) for each in results] == ["13", "13"]
    assert await together.ask(2) == 4


async def test_who_gives_up_leaves_the_others_their_answers():
    source = Source()
    source.gate = asyncio.Event()
    together = Together(source.read)
    first, second = asyncio.ensure_future(together.ask(1)), asyncio.ensure_future(together.ask(2))
    gone = asyncio.ensure_future(together.ask(3))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    first.cancel()
    source.gate.set()

    assert await second == 4
    assert source.asked == [[1, 2]]


async def test_work_is_done_side_by_side_within_a_bound_and_answered_in_order():
    running, most = set(), 0

    async def work(number):
        nonlocal most
        running.add(number)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.discard(number)
        return number

    assert await side_by_side([work(number) for number in range(7)], at_once_max=3) == list(range(7))
    assert most == 3
    assert await side_by_side([]) == []


@pytest.mark.parametrize("count", [1, 2, 5])
async def test_the_first_failure_ends_all_and_nothing_outlives_it(count):
    ended = []

    async def wait():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("waited")

    async def fail():
        await asyncio.sleep(0)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await side_by_side([fail(), *[wait() for _ in range(count - 1)]], at_once_max=3)

    assert len(ended) == min(count, 3) - 1
