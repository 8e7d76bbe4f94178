"""The memory of inboxes: bounded, and never taken for more than it is."""

import asyncio

from homeserver.core.changes import ToDeviceChange
from homeserver.core.positions import SyncToken, make
from homeserver.core.requester import Requester
from homeserver.sync.live_inboxes import LiveInboxes

NOW_MS = 1_760_000_000_000


def position(number):
    return make(NOW_MS + number, 1, 0)


class Stored:
    """The read of sync that inboxes need, which can be held up."""

    def __init__(self):
        self.rows = {}
        self.reads = 0
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def to_device(self, user_id, device_id, after, limit):
        self.reads += 1
        rows = sorted(self.rows.get((user_id, device_id), {}).items())
        await self.may_answer.wait()
        return [each for each in rows if each[0] > after][:limit]


def device(name="DEVICE", session_id=1):
    return Requester("@alice:example.org", name, session_id)


def send(inboxes, stored, number, text=b"{}", name="DEVICE"):
    stored.rows.setdefault(("@alice:example.org", name), {})[position(number)] = text
    inboxes.take_in(ToDeviceChange(position(number), (("@alice:example.org", name, text),)))


async def numbers(inbox, since=None, now=1_000):
    found, _ = await inbox.waiting(since, SyncToken().advance(position(now)))
    return [(each - position(0)) // (position(1) - position(0)) for each, _ in found]


async def test_what_comes_while_storage_is_read_is_not_overlooked():
    stored = Stored()
    inboxes = LiveInboxes(stored)
    inbox = inboxes.of(device())
    stored.may_answer.clear()
    look = asyncio.ensure_future(numbers(inbox))
    await asyncio.sleep(0)
    send(inboxes, stored, 1)  # after the read has begun
    stored.may_answer.set()

    assert await look == []
    assert await numbers(inbox) == [1]
    assert stored.reads == 1


async def test_what_was_acknowledged_while_storage_was_read_does_not_come_back():
    stored = Stored()
    inboxes = LiveInboxes(stored)
    inbox = inboxes.of(device())
    send(inboxes, stored, 1)
    stored.may_answer.clear()
    look = asyncio.ensure_future(numbers(inbox))
    await asyncio.sleep(0)
    inbox.acknowledge(SyncToken().advance(position(1)))
    stored.may_answer.set()
    await look

    assert inbox.is_quiet
    assert await numbers(inbox) == []


async def test_an_inbox_that_grows_too_large_is_read_from_storage_and_held_again_when_it_is_small():
    stored = Stored()
    inboxes = LiveInboxes(stored)
    inbox = inboxes.of(device())
    await numbers(inbox)
    for number in range(1, 300):
        send(inboxes, stored, number)
    assert inbox.size_bytes == 0
    assert await numbers(inbox) == list(range(1, 101))
    told = SyncToken().advance(position(250))
    inbox.acknowledge(told)
    reads = stored.reads

    for _ in range(2):
        assert await numbers(inbox, told) == list(range(251, 300))
    assert stored.reads == reads + 1


async def test_all_together_hold_no_more_than_their_bytes():
    stored = Stored()
    inboxes = LiveInboxes(stored, bytes_max=10_000)
    watched = []
    for name in "ABCDE":
        watched.append(inboxes.of(device(name)))
        await numbers(watched[-1])
        send(inboxes, stored, 1, b"x" * 4_000, name)

    assert sum(inbox.size_bytes for inbox in watched) <= 10_000
    assert watched[-1].size_bytes == 4_000
    for inbox in watched:
        assert await numbers(inbox) == [1]


async def test_idle_ones_make_room_and_watched_ones_stay():
    class Bell:
        def __init__(self):
            self.rung = 0

        def ring(self):
            self.rung += 1

    stored, bell = Stored(), Bell()
    inboxes = LiveInboxes(stored, inboxes_max=2)
    with inboxes.of(device("A")).listening(bell):
        for name in "BCD":
            inboxes.of(device(name))
        send(inboxes, stored, 1, name="A")
    assert bell.rung == 1


async def test_what_was_acknowledged_is_handed_over_once_and_never_shrinks():
    inboxes = LiveInboxes(Stored())
    key = ("@alice:example.org", "DEVICE")
    early, late = SyncToken().advance(position(1)), SyncToken().advance(position(2))
    inboxes.note_acknowledged(key, late)
    inboxes.note_acknowledged(key, early)  # the client repeats an older request

    assert inboxes.take_acknowledged(10) == [(*key, late)]
    assert inboxes.take_acknowledged(10) == []
