"""The table of messages to devices: what is deleted, what is counted, and its partitions."""

import random

from homeserver.core.changes import ToDeviceChange
from homeserver.core.positions import PartialToken, SyncToken, make
from homeserver.runtime.observation import ignore_observations
from storage.inbox_partitions import TRANSACTIONS_KEPT_MS, InboxPartitions
from storage.partitions import MONTHS_AHEAD, PartitionDropped
from storage.tables import to_device
from storage.write import Write

NOW_MS = 1_800_000_000_000  # 15 January 2027
DAY_MS = 86_400_000
ALICE, BOB = "@alice:localhost", "@bob:localhost"


class FixedClock:
    def __init__(self, ms=NOW_MS):
        self.ms = ms

    def now_ms(self):
        return self.ms


async def fill(database, *messages):
    """Insert (position, user ID, device ID) with a message of two bytes."""
    for position, user_id, device_id in messages:
        await database.execute(
            "INSERT INTO to_device (position, user_id, device_id, message)"
            " VALUES (%b::bigint, %b, %b, '{}'::bytea)",
            position, user_id, device_id,
        )  # fmt: skip


async def positions(database, user_id=ALICE, device_id="A"):
    rows = await to_device.waiting(database, user_id, device_id, after=0, limit=1_000)
    return [position for position, _ in rows]


async def test_a_sending_is_written_for_each_device_and_remembered(database, journal, witness):
    write = Write()
    change = ToDeviceChange(journal.next_position(), ((ALICE, "A", b"{}"), (BOB, "B", b"[]")))
    to_device.add(write, change, sender=(BOB, "PHONE"), event_type="m.test", transaction_id="t")
    await journal.append(write)

    assert witness.positions == [change.position]
    assert await to_device.waiting(database, BOB, "B", after=0, limit=9) == [(change.position, b"[]")]
    assert await to_device.is_sent(database, (BOB, "PHONE"), "m.test", "t")
    for sender, event_type, transaction_id in (
        ((BOB, "B"), "m.test", "t"), ((BOB, "PHONE"), "m.other", "t"), ((BOB, "PHONE"), "m.test", "u")
    ):  # fmt: skip
        assert not await to_device.is_sent(database, sender, event_type, transaction_id)


async def test_what_waits_is_read_in_order_from_a_place_on(database):
    places = [make(NOW_MS + number, number % 3, 0) for number in range(10)]
    await fill(database, *[(place, ALICE, "A") for place in reversed(places)], (places[0], ALICE, "B"))

    assert await positions(database) == places
    rows = await to_device.waiting(database, ALICE, "A", after=places[3], limit=4)
    assert [position for position, _ in rows] == places[4:8]


async def test_exactly_what_a_token_covers_is_deleted(database):
    chance = random.Random(1)
    every = [make(NOW_MS + number // 6, number % 3, number % 2) for number in range(30)]
    for _ in range(80):
        places = chance.sample(every, 8)
        token = as_token(chance.sample(every, chance.randrange(4)))
        if chance.random() < 0.5:
            token = PartialToken.of(token, chance.choice(every))
        await database.execute("DELETE FROM to_device")
        await fill(database, *[(each, user_id, "A") for each in places for user_id in (ALICE, BOB)])

        deleted = await to_device.delete(database, [(ALICE, "A", token), (ALICE, "B", token)])
        kept = sorted(each for each in places if not token.covers_message(each))
        assert await positions(database) == kept
        assert deleted == len(places) - len(kept)
        assert await positions(database, BOB) == sorted(places)


def as_token(places):
    token = SyncToken()
    for place in places:
        token = token.advance(place)
    return token


async def test_sizes_are_counted_up_to_a_bound(database):
    await fill(database, *[(number, ALICE, "A") for number in range(1, 6)], (1, BOB, "B"))

    devices = [(ALICE, "A"), (BOB, "B"), (BOB, "C")]
    sizes = await to_device.sizes(database, devices, messages_max=3)
    assert sizes == {(ALICE, "A"): (3, 6), (BOB, "B"): (1, 2)}


async def test_partitions_are_made_ahead_and_take_what_comes(database):
    clock = FixedClock()
    partitions = InboxPartitions(database, clock, ignore_observations, kept_ms=0)
    assert len(await partitions.make_ahead()) == MONTHS_AHEAD + 1
    assert await partitions.make_ahead() == []
    await fill(database, (make(NOW_MS, 0, 0), ALICE, "A"), (make(NOW_MS + 20 * DAY_MS, 0, 0), ALICE, "A"))

    names = await database.fetch("SELECT tableoid::regclass::text FROM to_device ORDER BY position")
    assert names == [("to_device_2027_01",), ("to_device_2027_02",)]


async def test_what_nobody_comes_for_goes_with_its_month_and_the_rest_stays(database):
    clock, observed = FixedClock(), []
    partitions = InboxPartitions(database, clock, observed.append, kept_ms=30 * DAY_MS)
    await partitions.make_ahead()
    early, late = make(NOW_MS, 0, 0), make(NOW_MS + 20 * DAY_MS, 0, 0)
    too_early = make(NOW_MS - 40 * DAY_MS, 0, 0)
    await fill(database, *[(place, ALICE, "A") for place in (too_early, early, late)])
    assert await partitions.expire() == []
    assert await positions(database) == [early, late]  # the first one was in no month's partition

    clock.ms += 47 * DAY_MS  # 30 days after the end of January
    assert await partitions.expire() == ["to_device_2027_01"]
    assert await positions(database) == [late]
    assert observed[-1] == PartitionDropped("to_device_2027_01")
    keeping = InboxPartitions(database, FixedClock(NOW_MS + 999 * DAY_MS), ignore_observations, kept_ms=0)
    assert await keeping.expire() == []


async def test_transactions_are_forgotten_with_age(database):
    for number, age_ms in enumerate((TRANSACTIONS_KEPT_MS - 1, TRANSACTIONS_KEPT_MS + 1)):
        await database.execute(
            "INSERT INTO to_device_transactions VALUES (%b::bigint, %b, 'A', 'm.test', %b)",
            make(NOW_MS - age_ms, 0, 0), ALICE, f"t{number}",
        )  # fmt: skip
    await InboxPartitions(database, FixedClock(), ignore_observations, kept_ms=0).expire()

    assert await to_device.is_sent(database, (ALICE, "A"), "m.test", "t0")
    assert not await to_device.is_sent(database, (ALICE, "A"), "m.test", "t1")
