from datetime import UTC, datetime

from homeserver.core.positions import make
from storage.partitions import Partitions

DECEMBER_2030 = int(datetime(2030, 12, 31, 23, 59, tzinfo=UTC).timestamp()) * 1000
INSERT = (
    "INSERT INTO events (position, room_nid, sender_nid, depth, type_nid, retention_class, flags, event_id,"
    " json) VALUES (%b::bigint, 1, 1, 1, 1, 0, 0, %b, '')"
)


class StoppedClock:
    def now_ms(self):
        return DECEMBER_2030

    def monotonic_ms(self):
        return 0


async def test_this_month_and_the_next_ones_have_partitions(database, witness):
    partitions = Partitions(database, StoppedClock(), witness.observe)

    assert await partitions.make_ahead() == ["events_c0_2030_12", "events_c0_2031_01", "events_c0_2031_02"]
    assert await partitions.make_ahead() == []
    ends = [DECEMBER_2030, DECEMBER_2030 + 60_000]  # the last minute of a year, and the first of the next
    for ms in ends:
        await database.execute(INSERT, make(ms, 3, 5), f"${ms}")
    rows = await database.fetch("SELECT tableoid::regclass::text FROM events ORDER BY position")
    assert rows == [("events_c0_2030_12",), ("events_c0_2031_01",)]


async def test_a_month_that_the_default_partition_caught_stays_there(database, witness):
    await database.execute(INSERT, make(DECEMBER_2030, 0, 0), "$early")
    made = await Partitions(database, StoppedClock(), witness.observe).make_ahead()

    assert made == ["events_c0_2031_01", "events_c0_2031_02"]


async def test_backfilled_events_have_a_partition_of_their_own(database):
    await database.execute(INSERT, -5, "$old")

    assert await database.fetch("SELECT tableoid::regclass::text FROM events") == [("events_c0_backfilled",)]
