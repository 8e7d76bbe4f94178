"""The service of presence without a server: its bounds, what it writes, and its one task."""

import asyncio

import pytest

from homeserver.core.errors import LimitExceeded, Unavailable
from homeserver.core.positions import EPHEMERAL_WRITER_OFFSET, SnowflakeClock
from homeserver.core.requester import Requester
from homeserver.ephemeral import presence as module
from homeserver.ephemeral.presence import FLUSH_MS, SEEN_FLUSH_MS, Presence
from homeserver.ephemeral.present_user import ACTIVE_MS, DISCONNECT_MS
from homeserver.ephemeral.remote_presence import RemotePresence
from storage.tables.presence import PRESENCE_UPSERT, STATUS_UPSERT
from tests.doubles.accounts import MovableClock


class Database:
    """Knows nothing of anybody."""

    async def fetch(self, *_):
        return []

    async def fetch_one(self, *_):
        return None


class Journal:
    """Keeps what is written, unless it cannot."""

    def __init__(self):
        self.rows = []
        self.fails = False

    def append(self, write):
        if self.fails:
            raise Unavailable("Not now.")
        self.rows += write.rows
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def take(self, statement):
        """Rows of one kind since the last time, by user."""
        rows, self.rows = self.rows, []
        return {values[0]: values[1:] for each, values in rows if each is statement}


class Audience:
    async def admit(self, user_id):
        pass


class House:
    def __init__(self):
        self.clock = MovableClock()
        self.journal = Journal()
        self.published = []
        snowflakes = SnowflakeClock(EPHEMERAL_WRITER_OFFSET)
        remote = RemotePresence(
            queries=None, audience=Audience(), snowflakes=snowflakes, publish=self.published.extend,
            clock=self.clock,
        )  # fmt: skip
        self.presence = Presence(
            database=Database(), journal=self.journal, interning=None, audience=Audience(),
            snowflakes=snowflakes, publish=self.published.extend, clock=self.clock, remote=remote,
        )  # fmt: skip

    async def poll(self, user_id):
        async with self.presence.here(requester(user_id), None):
            pass

    async def after(self, milliseconds):
        self.clock.advance(milliseconds)
        await self.presence.sweep()

    def take(self):
        told, self.published[:] = [(each.user_id, each.presence) for each in self.published], []
        return told


def requester(user_id):
    return Requester(user_id, "DEVICE", 1)


async def settle():
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
def house():
    return House()


async def test_coming_and_going_is_written_once_each_and_not_what_happens_between(house):
    await house.poll("@a:x")
    came_ms = house.clock.now_ms()
    assert house.journal.rows == []
    await house.after(FLUSH_MS)
    assert house.journal.take(PRESENCE_UPSERT) == {"@a:x": (came_ms, True)}
    for _ in range(100):
        await house.poll("@a:x")
        house.presence.be_active("@a:x", "DEVICE")
        await house.after(1_000)
    assert house.journal.rows == []

    active_ms = house.clock.now_ms() - 1_000
    await house.after(DISCONNECT_MS)
    await house.after(FLUSH_MS)
    assert house.journal.take(PRESENCE_UPSERT) == {"@a:x": (active_ms, False)}


async def test_what_cannot_be_written_is_written_later(house):
    await house.poll("@a:x")
    house.journal.fails = True
    await house.after(FLUSH_MS)
    house.journal.fails = False
    await house.poll("@b:x")
    await house.after(FLUSH_MS)

    assert set(house.journal.take(PRESENCE_UPSERT)) == {"@a:x", "@b:x"}


async def test_a_status_that_cannot_be_stored_is_not_told(house):
    house.journal.fails = True
    with pytest.raises(Unavailable):
        await house.presence.set(requester("@a:x"), "online", "hello")
    assert house.take() == []
    assert house.presence._users == {}

    house.journal.fails = False
    await house.presence.set(requester("@a:x"), "online", "hello")
    assert house.journal.take(STATUS_UPSERT) == {"@a:x": ("hello",)}
    assert house.take() == [("@a:x", "online")]


async def test_somebody_who_only_sends_is_written_of_rarely(house):
    for _ in range(10):
        house.presence.be_active("@bot:x", "DEVICE")
        await house.after(FLUSH_MS)
    assert len(house.journal.rows) == 1
    await house.after(SEEN_FLUSH_MS)
    house.presence.be_active("@bot:x", "DEVICE")
    await house.after(FLUSH_MS)
    assert len(house.journal.rows) == 2
    assert house.take() == []


async def test_too_many_users_are_offline_and_nothing_else_fails(house, monkeypatch):
    monkeypatch.setattr(module, "USERS_MAX", 1)
    monkeypatch.setattr(module, "SEEN_MAX", 3)
    await house.poll("@a:x")
    await house.poll("@b:x")
    with pytest.raises(LimitExceeded):
        await house.presence.set(requester("@b:x"), "online", None)
    for number in range(10):
        house.presence.be_active(f"@other{number}:x", None)

    assert house.take() == [("@a:x", "online")]
    assert len(house.presence._seen) == 3
    await house.after(DISCONNECT_MS)
    await house.poll("@b:x")
    assert house.take() == [("@a:x", "offline"), ("@b:x", "online")]


async def test_a_user_has_one_place_in_the_queue_however_often_they_poll(house):
    for _ in range(1_000):
        await house.poll("@a:x")
        house.presence.be_active("@a:x", "DEVICE")
        house.clock.advance(10)

    assert len(house.presence._queue) <= 2


async def test_the_task_does_what_is_due_and_then_sleeps(house):
    await house.poll("@a:x")
    house.take()
    house.clock.advance(ACTIVE_MS + DISCONNECT_MS)
    task = asyncio.create_task(house.presence.run())
    await settle()
    assert house.take() == [("@a:x", "offline")]
    assert set(house.journal.take(PRESENCE_UPSERT)) == {"@a:x"}
    assert house.presence._queue == []
    await settle()
    assert not task.done()
    task.cancel()


async def test_two_polls_of_one_device_end_independently(house):
    async with house.presence.here(requester("@a:x"), None):
        await house.poll("@a:x")
        await house.after(10 * DISCONNECT_MS)
        assert ("@a:x", "offline") not in house.take()
    await house.after(DISCONNECT_MS)
    assert house.take() == [("@a:x", "offline")]


async def test_a_device_that_was_here_a_moment_ago_comes_and_stays_without_a_change(house):
    presence, alice = house.presence, requester("@a:x")
    assert presence.come_at_once(alice, None) is None, "nobody knows of her yet"
    await house.poll("@a:x")
    house.take()
    user = presence.come_at_once(alice, None)
    assert user is not None
    await house.after(DISCONNECT_MS)
    assert presence.stay(user, alice, None)
    assert ("@a:x", "offline") not in house.take()

    presence.go(user, alice)
    await house.after(DISCONNECT_MS + ACTIVE_MS)
    assert house.take() == [("@a:x", "offline")]


async def test_a_wish_that_changes_something_is_for_the_ordinary_way(house):
    presence, alice = house.presence, requester("@a:x")
    await house.poll("@a:x")
    user = presence.come_at_once(alice, None)

    assert presence.come_at_once(alice, "unavailable") is None
    assert not presence.stay(user, alice, "unavailable")
    await presence.set(alice, "unavailable", None)
    assert presence.stay(user, alice, None), "what was set by hand lasts"
    assert not presence.stay(user, alice, "online")


async def test_who_stays_has_others_told_of_the_last_activity_after_a_while(house):
    presence, alice = house.presence, requester("@a:x")
    await house.poll("@a:x")
    user = presence.come_at_once(alice, None)
    house.clock.advance(1_000)
    presence.be_active("@a:x", "DEVICE")
    house.take()
    house.clock.advance(module.REFRESH_MS)
    presence.stay(user, alice, None)
    assert house.take() == [("@a:x", "online")]

    house.clock.advance(module.REFRESH_MS)
    presence.stay(user, alice, None)
    assert house.take() == [], "nothing was done since"
