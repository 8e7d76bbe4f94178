"""Databases for the simulated servers: made once, and emptied for each seed, which is faster."""

from contextlib import AsyncExitStack

import psycopg
import pytest

from storage.pool import Database
from tests.simulation.world import SERVERS_MAX

_KEPT = ("schema_migrations",)
_FILLED = (
    "SELECT string_agg(format('%I', relname), ', ') FROM pg_class"
    " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition"
)


@pytest.fixture(scope="session")
def simulation_dsns(postgres_dsn):
    """Copy the template once for each server there may be."""
    names = [f"simulation_{number}" for number in range(SERVERS_MAX)]
    with psycopg.connect(f"{postgres_dsn} dbname=postgres", autocommit=True) as server:
        for name in names:
            server.execute(f"CREATE DATABASE {name} TEMPLATE tests_template")
        yield [f"{postgres_dsn} dbname={name}" for name in names]
        for name in names:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def open_databases(simulation_dsns):
    """Open them; whoever asks again gets them empty again."""
    async with AsyncExitStack() as stack:
        opened = []
        for dsn in simulation_dsns:
            database = await Database.open(dsn, pool_size_min=1, pool_size_max=3)
            stack.push_async_callback(database.close)
            opened.append(database)

        async def empty():
            for database in opened:
                await _empty(database)
            return opened

        yield empty


async def _empty(database):
    ((names,),) = await database.fetch(_FILLED)
    filled = [
        name
        for name in names.split(", ")
        if name not in _KEPT and await database.fetch(f"SELECT 1 FROM {name} LIMIT 1")
    ]
    async with database.transaction() as transaction:
        if filled:
            await transaction.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
        await transaction.execute("ALTER SEQUENCE room_nids RESTART")
