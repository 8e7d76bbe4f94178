"""The table of messages to devices: what is deleted, what is counted, and its partitions."""

import random
from itertools import islice

from homeserver.core.changes import ToDeviceChange
from homeserver.core.positions import PartialToken, SyncToken, make
from homeserver.runtime.observation import ignore_observations
from storage.inbox_partitions import TRANSACTIONS_KEPT_MS, InboxPartitions
from storage.partitions import MONTHS_AHEAD, PartitionDropped, make_partitions, months
from storage.tables import to_device
from storage.write import Write

NOW_MS = 1_800_000_000_000  # 15 January 2027
DAY_MS = 86_400_000
ALICE, BOB = "@alice:localhost", "@bob:localhost"
EARLIER = "to_device"
"""The table that an earlier version wrote to."""


class FixedClock:
    def __init__(self, ms=NOW_MS):
        self.ms = ms

    def now_ms(self):
        return self.ms


async def fill(database, *messages, table=None):
    """Insert (position, user ID, device ID) with a message of two bytes; makes the devices, too."""
    for position, user_id, device_id in messages:
        await database.execute(
            "INSERT INTO accounts (user_id, created_ms) VALUES (%b, 0) ON CONFLICT DO NOTHING", user_id
        )
        await database.execute(
            "INSERT INTO devices (user_id, device_id, created_ms) VALUES (%b, %b, 0) ON CONFLICT DO NOTHING",
            user_id, device_id,
        )  # fmt: skip
        if table is EARLIER:
            await database.execute(
                "INSERT INTO to_device VALUES (%b::bigint, %b, %b, '{}')", position, user_id, device_id
            )
            continue
        await database.execute(
            "INSERT INTO device_inboxes SELECT %b::bigint, nid, '{}'"
            " FROM devices WHERE user_id = %b AND device_id = %b",
            position, user_id, device_id,
        )  # fmt: skip


async def positions(database, user_id=ALICE, device_id="A"):
    rows = await to_device.waiting(database, user_id, device_id, after=0, limit=1_000)
    return [position for position, _ in rows]


async def test_a_sending_is_written_for_each_device_and_remembered(database, journal, witness):
    await fill(database, (1, ALICE, "A"), (1, BOB, "B"))
    devices = await to_device.devices_of(database, [ALICE, BOB])
    events = {ALICE: b"{}", BOB: b"[]"}
    messages = tuple((user_id, device_id, events[user_id]) for user_id, device_id, _ in devices)
    write = Write()
    change = ToDeviceChange(journal.next_position(), messages)
    nids = [nid for *_, nid in devices]
    to_device.add(write, change, nids, sender=(BOB, "PHONE"), event_type="m.test", transaction_id="t")
    await journal.append(write)

    assert witness.positions == [change.position]
    assert await to_device.waiting(database, BOB, "B", after=1, limit=9) == [(change.position, b"[]")]
    assert await to_device.waiting(database, ALICE, "A", after=1, limit=9) == [(change.position, b"{}")]
    assert await to_device.is_sent(database, (BOB, "PHONE"), "m.test", "t")
    for sender, event_type, transaction_id in (
        ((BOB, "B"), "m.test", "t"), ((BOB, "PHONE"), "m.other", "t"), ((BOB, "PHONE"), "m.test", "u")
    ):  # fmt: skip
        assert not await to_device.is_sent(database, sender, event_type, transaction_id)


async def test_what_waits_is_read_in_order_from_a_place_on(database):
    places = [make(NOW_MS + number, number % 3, 0) for number in range(10)]
    # Some are where an earlier version put them, some of them later ones: it may have run meanwhile.
    filled = [(place, ALICE, "A") for place in reversed(places)]
    await fill(database, *filled[::2], (places[0], ALICE, "B"))
    await fill(database, *filled[1::2], (places[1], ALICE, "B"), table=EARLIER)

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
        await database.execute("DELETE FROM device_inboxes")
        for each in places:
            both = [(each, user_id, "A") for user_id in (ALICE, BOB)]
            await fill(database, *both, table=chance.choice((None, EARLIER)))

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
    await fill(database, *[(number, ALICE, "A") for number in range(1, 3)], (1, BOB, "B"))
    await fill(database, *[(number, ALICE, "A") for number in range(3, 6)], (1, BOB, "D"), table=EARLIER)

    devices = [(ALICE, "A"), (BOB, "B"), (BOB, "C"), (BOB, "D")]
    sizes = await to_device.sizes(database, devices, messages_max=3)
    assert sizes == {(ALICE, "A"): (3, 6), (BOB, "B"): (1, 2), (BOB, "D"): (1, 2)}


async def test_what_waits_goes_with_the_device_and_is_not_for_its_successor(database):
    for table in (None, EARLIER):
        await fill(database, *[(number, ALICE, device) for number in (1, 2) for device in "AB"], table=table)
    assert await to_device.delete_of(database, ALICE, ["A"]) == 4
    assert (await positions(database), await positions(database, ALICE, "B")) == ([], [1, 1, 2, 2])

    await database.execute("DELETE FROM devices WHERE device_id = 'B'")
    await database.execute("DELETE FROM to_device")
    await fill(database, (3, ALICE, "B"))
    assert await positions(database, ALICE, "B") == [3]


async def test_partitions_are_made_ahead_and_take_what_comes(database):
    clock = FixedClock()
    partitions = InboxPartitions(database, clock, ignore_observations, kept_ms=0)
    assert len(await partitions.make_ahead()) == MONTHS_AHEAD + 1
    assert await partitions.make_ahead() == []
    await fill(database, (make(NOW_MS, 0, 0), ALICE, "A"), (make(NOW_MS + 20 * DAY_MS, 0, 0), ALICE, "A"))

    names = await database.fetch("SELECT tableoid::regclass::text FROM device_inboxes ORDER BY position")
    assert names == [("device_inboxes_2027_01",), ("device_inboxes_2027_02",)]


async def test_what_nobody_comes_for_goes_with_its_month_and_the_rest_stays(database):
    clock, observed = FixedClock(), []
    partitions = InboxPartitions(database, clock, observed.append, kept_ms=30 * DAY_MS)
    await partitions.make_ahead()
    await make_partitions(database, ignore_observations, EARLIER, islice(months(EARLIER, NOW_MS), 1))
    early, late = make(NOW_MS, 0, 0), make(NOW_MS + 20 * DAY_MS, 0, 0)
    too_early = make(NOW_MS - 40 * DAY_MS, 0, 0)
    await fill(database, *[(place, ALICE, "A") for place in (too_early, early, late)])
    await fill(database, (too_early + 1, ALICE, "A"), (early + 1, ALICE, "A"), table=EARLIER)
    assert await partitions.expire() == []
    assert await positions(database) == [early, early + 1, late]  # the others were in no month's

    clock.ms += 47 * DAY_MS  # 30 days after the end of January
    assert await partitions.expire() == ["to_device_2027_01", "device_inboxes_2027_01"]
    assert await positions(database) == [late]
    assert observed[-1] == PartitionDropped("device_inboxes_2027_01")
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
