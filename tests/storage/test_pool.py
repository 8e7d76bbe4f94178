import asyncio

import pytest

from homeserver.core.errors import Conflict, Unavailable
from storage.pool import Database


async def test_statements_return_rows_and_counts(database):
    await database.execute("CREATE TABLE things (number bigint PRIMARY KEY)")

    assert await database.execute("INSERT INTO things SELECT unnest(%b::bigint[])", [1, 2, 3]) == 3
    assert await database.fetch("SELECT number FROM things WHERE number > %b", 2) == [(3,)]
    assert await database.fetch_one("SELECT count(*) FROM things") == (3,)
    assert await database.fetch_one("SELECT number FROM things WHERE number = 9") is None


async def test_a_violated_constraint_is_a_conflict(database):
    await database.execute("CREATE TABLE things (number bigint PRIMARY KEY)")
    await database.execute("INSERT INTO things VALUES (1)")
    with pytest.raises(Conflict):
        await database.execute("INSERT INTO things VALUES (1)")


async def test_a_transaction_is_whole_or_nothing(database):
    await database.execute("CREATE TABLE things (number bigint PRIMARY KEY)")
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO things VALUES (1)")
    with pytest.raises(Conflict):
        await insert_two_and_fail(database)

    assert await database.fetch("SELECT number FROM things") == [(1,)]


async def insert_two_and_fail(database):
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO things VALUES (2)")
        await transaction.execute("INSERT INTO things VALUES (1)")


async def test_connections_that_the_server_closed_are_replaced_unseen(database):
    await database.fetch("SELECT 1")
    closed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %b"
    other = await Database.open(database.dsn.rsplit("dbname=", 1)[0] + "dbname=postgres", pool_size_min=1)
    await other.fetch(closed, database.dsn.rsplit("dbname=", 1)[1])
    await other.close()

    assert await database.fetch("SELECT 1::bigint") == [(1,)]


async def test_a_database_that_does_not_answer_is_unavailable(tmp_path):
    with pytest.raises(Unavailable):
        await Database.open(f"host={tmp_path} dbname=nothing", timeout_ms=200)


async def test_whoever_asks_next_gets_the_connection_that_was_used_last(database):
    pid = "SELECT pg_backend_pid()"
    async with database.transaction() as first, database.transaction() as last:
        pids = await first.fetch(pid), await last.fetch(pid)
    assert pids[0] != pids[1]

    # Those of a transaction are given back in the opposite order.
    assert {(await database.fetch(pid))[0] for _ in range(4)} == {pids[0][0]}


async def test_an_answer_of_many_pieces_is_read_whole_while_others_have_their_turns(database):
    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.ensure_future(count_turns())
    rows = await database.fetch("SELECT repeat(number::text, 1000) FROM generate_series(1, 3000) AS number")
    other.cancel()

    assert rows == [(str(number) * 1000,) for number in range(1, 3001)]
    assert turns > 3


async def test_who_stops_waiting_for_an_answer_leaves_a_connection_that_works(database):
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await database.fetch("SELECT pg_sleep(60), generate_series(1, 3000)")

    assert await database.fetch("SELECT 1::bigint") == [(1,)]


@pytest.mark.parametrize(
    ("sql_type", "values"),
    [
        ("bigint", [1, -(2**63), 2**63 - 1]), ("bigint", [1, 2]), ("bigint", [40_000, 1, None]),
        ("bigint", []), ("bigint", [None, 1]), ("integer", [2**31 - 1, -1]), ("smallint", [5, -5]),
        ("numeric", [2**70]),
        ("text", ["ü", "", None, "x" * 100_000]), ("text", []), ("text", [None]), ("boolean", [True, None]),
        ("bytea", [b"\x00"]), ("bigint", [[1, 2], [3, 4]]), ("text", [["a"], ["b"]]),
    ],
)  # fmt: skip
async def test_lists_arrive_as_they_are(database, sql_type, values):
    for _ in range(3):  # the second time the statement is prepared
        assert await database.fetch(f"SELECT %b::{sql_type}[]", values) == [(values,)]


async def test_a_statement_is_prepared_once_whatever_the_size_of_the_numbers_in_its_lists(database):
    async with database.transaction() as transaction:
        for number in (1, 2, 40_000, 70_000, 2**31, 2**40):
            assert await transaction.fetch("SELECT %b::bigint[] AS once", [number]) == [([number],)]
        prepared = await transaction.fetch(
            "SELECT parameter_types::text FROM pg_prepared_statements WHERE statement LIKE '% AS once'"
        )
    assert prepared == [("{bigint[]}",)]
