"""Who does not answer is left alone for longer each time, and not longer than it is silent."""

import pytest

from federation import destinations
from federation.destinations import DestinationAnswers, DestinationFails, Destinations
from homeserver.core.errors import Unavailable

B = "b.example"


class StillClock:
    def __init__(self):
        self.ms = 1_760_000_000_000

    def now_ms(self):
        return self.ms

    monotonic_ms = now_ms


class NoChance:
    def token_bytes(self, length_bytes):
        return b"\xff" * length_bytes


@pytest.fixture
def clock():
    return StillClock()


@pytest.fixture
def observed():
    return []


@pytest.fixture
def known(database, clock, observed):
    return Destinations(
        database=database, clock=clock, randomness=NoChance(), observer=observed.append,
        is_region=lambda name: name == "region.example",
    )  # fmt: skip


def fail_until(known, clock, name, ms):
    """Let a server fail whenever it may be asked, for so long; returns how often that was."""
    end_ms, count = clock.ms + ms, 0
    while clock.ms < end_ms:
        if known.is_due(name):
            known.failed(name)
            count += 1
        clock.ms += 500
    return count


async def test_a_server_that_fails_is_left_alone_and_may_be_asked_again_later(known, clock):
    known.check(B)
    known.failed(B)
    with pytest.raises(Unavailable):
        known.check(B)
    clock.ms += destinations.INTERVAL_MS_MIN
    known.check(B)
    assert known.is_failing(B)
    known.succeeded(B)
    assert not known.is_failing(B)


async def test_intervals_grow_to_hours_and_no_further(known, clock):
    assert fail_until(known, clock, B, 3_600_000) < 12
    fail_until(known, clock, B, 172_800_000)
    trouble = known.trouble(B)
    assert trouble.interval_ms == destinations.INTERVAL_MS_MAX
    assert trouble.retry_ms - trouble.failed_ms <= destinations.INTERVAL_MS_MAX


async def test_a_region_is_asked_again_within_seconds(known, clock):
    fail_until(known, clock, "region.example", 3_600_000)
    trouble = known.trouble("region.example")
    assert trouble.retry_ms - trouble.failed_ms <= 2_000


async def test_several_who_asked_at_once_count_as_one(known):
    for _ in range(10):
        known.failed(B)
    assert known.trouble(B).interval_ms == destinations.INTERVAL_MS_MIN


async def test_who_is_heard_from_may_be_asked_at_once_but_not_all_the_time(known, clock):
    woken = []
    known.listen(woken.append)
    fail_until(known, clock, B, 36_000_000)
    known.heard_from(B)
    known.check(B)
    assert woken == [B]
    known.failed(B)
    clock.ms += 1_000
    known.heard_from(B)
    assert not known.is_due(B)
    assert woken == [B]
    clock.ms += destinations.HEARD_AGAIN_MS
    known.heard_from(B)
    assert woken == [B, B]


async def test_who_was_never_in_trouble_is_not_remembered_for_being_heard(known):
    known.heard_from(B)
    assert known.all_failing() == {}
    assert not known.reset(B)


async def test_trouble_outlives_the_process_and_its_end_too(known, clock, database):
    fail_until(known, clock, B, 60_000)
    known.failed("c.example")
    await known.save()
    later = Destinations(database=database, clock=clock, randomness=NoChance(), observer=print)
    await later.start()
    assert later.all_failing() == known.all_failing()

    later.succeeded(B)
    await later.close()
    last = Destinations(database=database, clock=clock, randomness=NoChance(), observer=print)
    await last.start()
    assert list(last.all_failing()) == ["c.example"]


async def test_an_operator_hears_of_long_trouble_alone(known, clock, observed):
    known.failed(B)
    known.succeeded(B)
    assert observed == []
    fail_until(known, clock, B, 600_000)
    known.succeeded(B)
    assert isinstance(observed[0], DestinationFails)
    assert observed[-1] == DestinationAnswers(B, 600_000)


async def test_there_is_a_bound_to_how_many_are_remembered(known, monkeypatch):
    monkeypatch.setattr(destinations, "TROUBLES_MAX", 2)
    for name in ("b.example", "c.example", "d.example"):
        known.failed(name)
    assert len(known.all_failing()) == 2


async def test_what_could_not_be_stored_is_stored_the_next_time(known, database, clock, monkeypatch):
    known.failed(B)

    async def refuse(*_):
        raise Unavailable("The database does not answer.")

    with monkeypatch.context() as patched:
        patched.setattr("storage.tables.destinations.save", refuse)
        await known.close()
    await known.close()
    later = Destinations(database=database, clock=clock, randomness=NoChance(), observer=print)
    await later.start()
    assert list(later.all_failing()) == [B]
