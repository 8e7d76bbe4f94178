"""Long lists of state take turns; short ones wait for nobody."""

import asyncio
from contextlib import aclosing

from homeserver.rooms.state_lists import LONG_LISTS_MAX, StateLists


class PagedState:
    """Has as many pages as it is told to."""

    def __init__(self, pages):
        self.count = pages
        self.read = 0

    async def pages(self, room_nid, position, type_=None):
        for number in range(self.count):
            self.read += 1
            yield [number]


def lists_of(state):
    return StateLists(sight=None, state=state, client_events=None)


async def long_list(lists, go_on):
    """Read the first two pages, then wait; then the rest."""
    found = []
    async with aclosing(lists.pages(1, None)) as pages:
        async for page in pages:
            found += page
            if len(found) == 2:
                await go_on.wait()
    return found


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_only_so_many_long_lists_are_read_at_a_time():
    state, go_on = PagedState(3), asyncio.Event()
    lists = lists_of(state)
    readers = [asyncio.create_task(long_list(lists, go_on)) for _ in range(LONG_LISTS_MAX + 3)]
    await settle()

    assert state.read == 2 * (LONG_LISTS_MAX + 3)  # three of them wait with their second page
    assert lists._turns.locked()
    go_on.set()
    assert await asyncio.gather(*readers) == [[0, 1, 2]] * (LONG_LISTS_MAX + 3)
    assert not lists._turns.locked()


async def test_a_short_list_waits_for_nobody():
    go_on = asyncio.Event()
    lists = lists_of(PagedState(3))
    readers = [asyncio.create_task(long_list(lists, go_on)) for _ in range(LONG_LISTS_MAX)]
    await settle()
    lists._state = PagedState(1)

    assert await asyncio.wait_for(long_list(lists, asyncio.Event()), 5) == [0]
    go_on.set()
    await asyncio.gather(*readers)


async def test_who_goes_away_gives_up_the_turn():
    lists = lists_of(PagedState(3))
    readers = [asyncio.create_task(long_list(lists, asyncio.Event())) for _ in range(LONG_LISTS_MAX)]
    await settle()
    assert lists._turns.locked()
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)

    go_on = asyncio.Event()
    go_on.set()
    assert await asyncio.wait_for(long_list(lists, go_on), 5) == [0, 1, 2]
