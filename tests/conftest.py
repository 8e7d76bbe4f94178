"""What the tests of every folder may ask for: a real PostgreSQL, and a fresh database in it for each test."""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings

from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import ignore_observations
from storage.embedded import EmbeddedPostgres
from storage.migrate import migrate
from storage.partitions import Partitions
from storage.pool import Database

# Machines are shared: how long an example takes says nothing. What lands is judged by the same examples each
# time; at home new ones are tried.
settings.register_profile("home", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("home"), derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "home")

_TEMPLATE = "tests_template"
_MEMORY_BYTES_MIN = 1_000_000_000
_numbers = itertools.count(1)
# Nothing here outlives the machine.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB", "max_connections": "100"}


@pytest.fixture(scope="session", autouse=True)
def nothing_is_synced() -> Iterator[None]:
    """Let no test wait for the disk: servers sync their keys there, and half of a test's time was that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """Start a PostgreSQL for the session, with a migrated template; yields the DSN without `dbname`."""
    directory = Path(tempfile.mkdtemp(prefix="isthmus-tests-", dir=_memory()))
    postgres = EmbeddedPostgres(directory, settings=_SETTINGS)
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        try:
            dsn = runner.run(postgres.start()).rsplit(" dbname=", 1)[0]
            runner.run(_make_template(dsn))
            yield dsn
        finally:
            runner.run(postgres.stop())
            shutil.rmtree(directory, ignore_errors=True)


def _memory() -> str | None:
    """Return a file system in memory, where a database is copied ten times as fast, if there is one."""
    shm = Path("/dev/shm")
    return str(shm) if shm.is_dir() and shutil.disk_usage(shm).free > _MEMORY_BYTES_MIN else None


async def _make_template(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(f"{dsn} dbname=postgres", autocommit=True) as connection:
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    database = await Database.open(f"{dsn} dbname={_TEMPLATE}", pool_size_min=1, pool_size_max=1)
    await migrate(database)
    await Partitions(database, SystemClock(), ignore_observations).make_ahead()
    await database.close()
    # Whoever connects first gathers what PostgreSQL needs to know of its catalogs; it is copied along.
    async with await psycopg.AsyncConnection.connect(f"{dsn} dbname={_TEMPLATE}"):
        pass


class Copies:
    """Copies of the template, made and dropped over one connection.

    It blocks, so that it can serve tests whose loops come and go; nothing else of a test goes on meanwhile.
    """

    def __init__(self, postgres_dsn: str, server: psycopg.Connection[Any]) -> None:
        self._dsn = postgres_dsn
        self._server = server

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Database]:
        """Open a copy, and drop it afterwards."""
        name = f"test_{next(_numbers)}"
        # Page by page through the log, as is the default, a copy takes three times the CPU.
        self._server.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
        try:
            opened = await Database.open(f"{self._dsn} dbname={name}", pool_size_min=1, pool_size_max=5)
            try:
                yield opened
            finally:
                await opened.close()
        finally:
            self._server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def copies(postgres_dsn: str) -> Iterator[Copies]:
    """Keep the connection over which copies are made."""
    with psycopg.connect(f"{postgres_dsn} dbname=postgres", autocommit=True) as server:
        yield Copies(postgres_dsn, server)


@pytest.fixture
async def database(copies: Copies) -> AsyncIterator[Database]:
    """Open a fresh, migrated database, which is dropped after the test."""
    async with copies.opened() as opened:
        yield opened


@pytest.fixture
async def make_database(copies: Copies) -> AsyncIterator[Callable[[], Awaitable[Database]]]:
    """Open as many of them as a test wants: one for each of several servers."""
    async with AsyncExitStack() as stack:
        yield lambda: stack.enter_async_context(copies.opened())
