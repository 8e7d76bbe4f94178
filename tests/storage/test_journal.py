import asyncio

import pytest

from homeserver.core.changes import EventChange
from homeserver.core.errors import Unavailable
from homeserver.runtime.observation import CommitFailed, Committed, LeaseLost
from storage.journal import Journal, WriteRefused
from storage.write import Statement
from storage.writers import Writers


async def until(condition):
    """Let the loop run until something that nobody announces has come about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


async def numbers(database):
    return [number for (number,) in await database.fetch("SELECT number FROM notes ORDER BY number")]


async def test_a_write_is_durable_and_published_when_it_resolves(journal, database, notes, note, witness):
    future = journal.append(note(1))
    future.add_done_callback(lambda _: witness.positions.append(-1))
    await future

    assert await numbers(database) == [1]
    assert witness.positions == [1, -1]


async def test_what_waits_is_committed_together_and_in_order(journal, database, notes, note, witness):
    await asyncio.gather(*[journal.append(note(number)) for number in range(100)])

    assert await numbers(database) == list(range(100))
    assert witness.positions == list(range(100))
    assert [committed.writes for committed in witness.of(Committed)] == [100]


async def test_what_comes_during_a_flush_goes_into_the_next_one(journal, notes, note, witness):
    first = journal.append(note(1))
    await asyncio.sleep(0)  # the flush of the first is on its way
    await asyncio.sleep(0)
    await asyncio.gather(first, journal.append(note(2)), journal.append(note(3)))

    assert [committed.writes for committed in witness.of(Committed)] == [1, 2]


async def test_a_flush_takes_no_more_writes_than_its_bound_of_rows(database, clock, notes, note, witness):
    lease = await Writers(database, clock).acquire()
    journal = Journal(database, lease, clock, witness.publish, witness.observe, rows_per_flush_max=10)
    await asyncio.gather(*[journal.append(note(number)) for number in range(25)])
    await journal.close()

    assert [committed.writes for committed in witness.of(Committed)] == [10, 10, 5]


async def test_positions_grow_and_start_above_those_of_earlier_writers(database, clock, notes, note, witness):
    writers = Writers(database, clock)
    first = Journal(database, await writers.acquire(), clock, witness.publish, witness.observe)
    far_ahead = first.next_position() + (1 << 40)
    first.raise_floor(far_ahead)
    position = first.next_position()
    await first.append(note(1))
    await first.close()
    lease = await writers.acquire()
    second = Journal(database, lease, clock, witness.publish, witness.observe)

    assert position > far_ahead
    assert lease.last_position >= position
    assert second.next_position() > position
    await second.close()


async def test_a_bad_write_hurts_no_other(journal, database, notes, note, witness):
    futures = [journal.append(note(number)) for number in (1, 2, -3, 4)]
    results = await asyncio.gather(*futures, return_exceptions=True)

    assert await numbers(database) == [1, 2, 4]
    assert [type(result) for result in results] == [type(None), type(None), WriteRefused, type(None)]
    assert results[2].sqlstate == "23514"
    assert witness.positions == [1, 2, 4]
    assert len(witness.of(CommitFailed)) == 2


async def test_values_that_cannot_be_encoded_fail_and_the_lane_goes_on(journal, database, notes, note):
    good, bad = journal.append(note(1)), journal.append(note("not a number"))
    await good
    with pytest.raises(WriteRefused):
        await bad
    with pytest.raises(WriteRefused):
        await journal.append(note(2, "a NUL \x00 is no text for PostgreSQL"))
    await journal.append(note(3))

    assert await numbers(database) == [1, 3]


async def test_writes_made_on_top_of_a_failed_one_fail_too(journal, database, notes, note):
    made = [note(1, order_key="a"), note(-2, order_key="a"), note(3, order_key="a"), note(4, order_key="b")]
    futures = [journal.append(write) for write in made]
    late = []

    def append_on_top():
        try:
            journal.append(note(5, order_key="a"))
        except Unavailable:
            late.append("refused")

    futures[1].add_done_callback(lambda _: late.append("told"))
    # Before the failure is told, the room may already be at work on the next write.
    journal._refuse = refuse_and_then(journal._refuse, append_on_top)
    results = await asyncio.gather(*futures, return_exceptions=True)
    await until(lambda: not journal._broken)
    await journal.append(note(6, order_key="a"))

    assert [isinstance(result, Unavailable) for result in results] == [False, True, True, False]
    assert late == ["refused", "told"]
    assert await numbers(database) == [1, 4, 6]


def refuse_and_then(refuse, then):
    def both(*arguments):
        refuse(*arguments)
        then()

    return both


async def test_the_room_of_an_event_is_the_default_order_key(journal, database, notes, note, make_event):
    writes = [note(-1), note(2)]
    for write in writes:
        write.changes = [EventChange(1, "!room:example.org", make_event(1))]
    results = await asyncio.gather(*[journal.append(write) for write in writes], return_exceptions=True)

    assert [isinstance(result, Unavailable) for result in results] == [True, True]
    assert await numbers(database) == []


async def test_a_lease_taken_over_fences_later_flushes(journal, database, clock, notes, note, witness):
    await journal.append(note(1))
    other_lease = await Writers(database, clock).acquire(takes_over=True)
    other = Journal(database, other_lease, clock, witness.publish, witness.observe)
    assert other_lease.writer_id == journal.writer_id
    with pytest.raises(Unavailable):
        await journal.append(note(2))
    with pytest.raises(Unavailable):
        journal.append(note(3))
    await other.append(note(4))
    await other.close()

    assert await numbers(database) == [1, 4]
    assert [lost.writer_id for lost in witness.of(LeaseLost)] == [0]


async def test_a_commit_whose_answer_was_lost_is_published_once(journal, database, notes, note, witness):
    await journal.append(note(1))
    lose_the_answer(journal)
    await asyncio.gather(journal.append(note(2)), journal.append(note(3)))
    await journal.append(note(4))

    assert await numbers(database) == [1, 2, 3, 4]
    assert witness.positions == [1, 2, 3, 4]
    assert len(witness.of(CommitFailed)) == 1


def lose_the_answer(journal):
    """Let the flush take place, but break the connection before its answer is read."""
    lane = journal._lane
    run = lane.run

    async def run_and_lose(steps):
        await run(steps)
        await lane.close()
        raise TimeoutError

    lane.run = run_and_lose


async def test_a_flush_that_never_arrived_is_repeated(journal, database, notes, note, witness):
    await journal.append(note(1))
    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'isthmus journal'"
        " AND datname = current_database()"
    )
    await asyncio.gather(journal.append(note(2)), journal.append(note(3)))

    assert await numbers(database) == [1, 2, 3]
    assert witness.positions == [1, 2, 3]


async def test_a_connection_that_breaks_in_a_flush_is_settled(journal, database, notes, note, witness):
    await database.execute("CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                           " 'BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END'")  # fmt: skip
    await database.execute("CREATE TRIGGER slow BEFORE INSERT ON notes EXECUTE FUNCTION slow()")
    await journal.start()
    future = journal.append(note(1))
    for _ in range(1_000):
        if await database.fetch("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            break
    # The server still works on it: settling waits for the row of the fence, and then finds it committed.
    journal._lane._lose(ConnectionFailure())
    await future

    assert await numbers(database) == [1]
    assert witness.positions == [1]


def ConnectionFailure():  # noqa: N802 - reads as the exception that it makes
    import psycopg  # noqa: PLC0415 - only this test pretends to be libpq

    return psycopg.OperationalError("the connection broke")


async def test_the_queue_is_bounded(journal, notes, note):
    journal.writes_waiting_max = 2
    futures = [journal.append(note(1)), journal.append(note(2))]
    with pytest.raises(Unavailable):
        journal.append(note(3))
    await asyncio.gather(*futures)
    await journal.append(note(4))


async def test_closing_flushes_what_waits_and_ends_the_lease(database, clock, notes, note, witness):
    writers = Writers(database, clock)
    journal = Journal(database, await writers.acquire(), clock, witness.publish, witness.observe)
    futures = [journal.append(note(number)) for number in range(10)]
    await journal.close()
    await asyncio.gather(*futures)
    with pytest.raises(Unavailable):
        journal.append(note(11))

    assert await numbers(database) == list(range(10))
    assert (await writers.acquire()).writer_id == 0


async def test_of_several_rows_with_one_key_the_last_one_counts(journal, database, notes, note):
    upsert = Statement(
        "upserts", 91,
        "INSERT INTO notes SELECT * FROM unnest(%b::bigint[], %b::text[])"
        " ON CONFLICT (number) DO UPDATE SET text = excluded.text", keys=(0,),
    )  # fmt: skip
    writes = [note(1), note(2), note(3)]
    for write, text in zip(writes, ("first", None, "last"), strict=True):
        write.add(upsert, 7, text)
    await asyncio.gather(*[journal.append(write) for write in writes])

    assert await database.fetch("SELECT text FROM notes WHERE number = 7") == [("last",)]


async def test_a_cancelled_caller_leaves_its_write_in_order(journal, database, notes, note):
    future = journal.append(note(1))
    future.cancel()
    await journal.append(note(2))

    assert await numbers(database) == [1, 2]


async def test_a_flush_larger_than_the_socket_buffers_arrives(journal, database, notes, note):
    text = "x" * 60_000
    await asyncio.gather(*[journal.append(note(number, text)) for number in range(200)])

    assert await database.fetch("SELECT count(*), sum(length(text)) FROM notes") == [(200, 200 * 60_000)]


async def test_an_idle_journal_renews_its_lease(database, clock, notes, witness):
    lease = await Writers(database, clock).acquire()
    await database.execute("UPDATE writers SET expires_at = clock_timestamp() + interval '1 minute'")
    lease.renewed_ms -= 10_000  # a heartbeat is due
    journal = Journal(database, lease, clock, witness.publish, witness.observe)
    await journal.start()
    before = clock.monotonic_ms()
    await until(lambda: lease.renewed_ms >= before)

    rows = await database.fetch("SELECT expires_at < clock_timestamp() + interval '10 seconds' FROM writers")
    assert rows == [(True,)]
    await journal.close()
