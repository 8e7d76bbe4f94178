"""Changes of device lists on their way into the stream."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from homeserver.core.errors import Unavailable
from homeserver.e2ee.device_lists import DeviceLists
from storage.tables import device_lists

ALICE, BOB = "@alice:here", "@bob:here"


class Audience:
    """Who is admitted, when."""

    def __init__(self):
        self.here = set()

    @asynccontextmanager
    async def admitted(self, user_id):
        self.here.add(user_id)
        yield
        self.here.discard(user_id)


class Journal:
    """Takes writes, or fails."""

    def __init__(self, audience):
        self.audience = audience
        self.writes = []
        self.seen = []
        self.is_down = False
        self.reached, self.gate, self.taken = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.position = 0

    def next_position(self):
        self.position += 1
        return self.position

    async def append(self, write):
        self.seen.append(set(self.audience.here))
        self.reached.set()
        await self.gate.wait()
        if self.is_down:
            raise Unavailable("down")
        self.writes.append(write)
        self.taken.set()


@pytest.fixture
def audience():
    return Audience()


@pytest.fixture
def journal(audience):
    return Journal(audience)


@pytest.fixture
def lists(database, journal, audience):
    return DeviceLists(database=database, journal=journal, audience=audience)


def told(journal):
    return [(change.user_id, change.told_to) for write in journal.writes for change in write.changes]


async def test_whoever_changed_is_admitted_while_it_is_published(lists, database, journal):
    noted = await device_lists.note(database, [(ALICE, None), (BOB, ALICE)])
    await lists.announce(noted)

    assert told(journal) == [(ALICE, None), (BOB, ALICE)]
    assert journal.seen == [{ALICE}], "of whom only one user is told, nobody needs to be known"
    assert not journal.audience.here
    assert len(journal.writes[0].rows) == 4, "a row for each change, and one less in the outbox"
    await lists.announce([])
    assert len(journal.writes) == 1


async def test_it_goes_on_when_whoever_waits_goes_away(lists, database, journal):
    journal.gate.clear()
    noted = await device_lists.note(database, [(ALICE, None)])
    waiting = asyncio.ensure_future(lists.announce(noted))
    await journal.reached.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    journal.gate.set()
    await journal.taken.wait()

    assert told(journal) == [(ALICE, None)]


async def test_what_could_not_be_told_is_told_later_up_to_a_number(lists, database, journal):
    first = await device_lists.note(database, [(ALICE, None)])
    journal.is_down = True
    await lists.announce(first)
    assert told(journal) == []
    with pytest.raises(Unavailable):
        await lists.announce_left_over()
    await device_lists.note(database, [(BOB, None)])
    journal.is_down = False

    assert await lists.announce_left_over(first[0].number) == first[0].number
    assert told(journal) == [(ALICE, None)]
    assert await lists.announce_left_over(0) == 0
