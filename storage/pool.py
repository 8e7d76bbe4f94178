"""The database as the rest of the server sees it: statements in, rows out, our own errors."""

import select
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.abc import Buffer, PQGen
from psycopg.adapt import PyFormat
from psycopg.types.array import ListBinaryDumper
from psycopg.waiting import Ready, Wait
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from homeserver.core.errors import Conflict, Unavailable
from storage.arrays import ENCODERS_BY_OID

__all__ = ["Database", "Row", "Transaction"]

Row = tuple[Any, ...]
Result = TypeVar("Result")

_WAITING_MAX = 1_000
_CHECKOUT_TIMEOUT_S = 10.0
_IDLE_S_MAX = 300.0
_PREPARE_AFTER_USES = 2
_STATEMENTS_PREPARED_MAX = 200
_SETTINGS = "SET plan_cache_mode = force_generic_plan"
"""Statements are written so that one plan fits all parameters; planning anew costs more than most of them."""

_WAIT_INTERVAL_S = 0.1
"""As psycopg has it: how long it waits for a connection before it looks whether it was interrupted."""
_PIECES_MAX = 32
"""Read in one go, of 16 KB each, before others have their turn."""

_PLAIN = (int, str)
_INTEGERS = {int}
_BIGINT_MAX = 2**63 - 1

_UNAVAILABLE = "The database cannot be reached just now. Try again."


class _Connection(AsyncConnection[Row]):
    """A connection that reads on while there is more, instead of going around the loop for each piece.

    libpq reads 16 KB at a time, and each time around the loop costs as much as reading twice that.
    """

    async def wait(
        self, gen: PQGen[Result], interval: float = _WAIT_INTERVAL_S,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's own way
    ) -> Result:  # fmt: skip
        """Run one of psycopg's generators, as it does, but for what can be read already."""
        return await super().wait(_reading_on(gen, self.pgconn.socket), interval, timeout)


class _ListDumper(ListBinaryDumper):
    """Encodes lists of numbers and of strings in one go, where psycopg goes item by item.

    Numbers are always `bigint`, which statements cast to what they want. psycopg takes the smallest type that
    holds them all, so that a statement was prepared and planned anew for each size of them.
    """

    def _find_list_element(self, L: list[Any], format: PyFormat) -> Any:  # noqa: A002, N803 - psycopg's own names
        if set(map(type, L)) == _INTEGERS and min(L) >= -_BIGINT_MAX and max(L) <= _BIGINT_MAX:
            return _BIGINT_MAX
        return super()._find_list_element(L, format)

    def dump(self, obj: list[Any]) -> Buffer | None:
        """Encode a list."""
        encode = None
        if obj and self.sub_dumper is not None and type(obj[0]) in _PLAIN:
            encode = ENCODERS_BY_OID.get(self.sub_dumper.oid)
        return super().dump(obj) if encode is None else encode(obj)


class _Pool(AsyncConnectionPool[AsyncConnection[Row]]):
    """A pool that gives out the connection that was used last, which has its statements prepared."""

    async def _get_ready_connection(
        self, timeout: float | None  # noqa: ASYNC109 - psycopg_pool's own way
    ) -> AsyncConnection[Row] | None:  # fmt: skip
        self._pool.rotate(1)  # psycopg_pool takes the first, and puts back as the last
        return await super()._get_ready_connection(timeout)


class Transaction:
    """The statements of one transaction; made by `Database.transaction`."""

    __slots__ = ("_connection",)

    def __init__(self, connection: AsyncConnection[Row]) -> None:
        self._connection = connection

    async def fetch(self, statement: str, *parameters: Any) -> list[Row]:
        """Run a statement; returns all its rows."""
        return await _fetch(self._connection, statement, parameters)

    async def fetch_one(self, statement: str, *parameters: Any) -> Row | None:
        """Run a statement; returns its first row, if any."""
        rows = await _fetch(self._connection, statement, parameters)
        return rows[0] if rows else None

    async def execute(self, statement: str, *parameters: Any) -> int:
        """Run a statement; returns how many rows it touched."""
        cursor = await self._connection.execute(statement, parameters or None, binary=True)
        return cursor.rowcount

    async def script(self, text: str) -> None:
        """Run statements separated by semicolons, without parameters."""
        # Without parameters psycopg uses the simple protocol, which takes several statements.
        await self._connection.execute(text)


class Database:
    """A pool of connections. Parameters are `%b` or `%s`; results are binary; each call commits by itself.

    Raises from every method:
        Unavailable: no connection, or it was lost.
        Conflict: the statement violates a constraint.
    """

    def __init__(self, dsn: str, pool: AsyncConnectionPool[AsyncConnection[Row]]) -> None:
        """Take an open pool; use `open`."""
        self.dsn = dsn
        self._pool = pool

    @classmethod
    async def open(
        cls, dsn: str, *, pool_size_min: int = 2, pool_size_max: int = 10, timeout_ms: int = 10_000
    ) -> "Database":
        """Connect.

        Args:
            dsn: of libpq; may name several hosts with `target_session_attrs`.
            pool_size_min: connections that are always kept.
            pool_size_max: never more connections than that.
            timeout_ms: how long to wait for the first connections.

        Raises:
            Unavailable: the database does not answer.
        """
        pool = _Pool(
            dsn,
            connection_class=_Connection,
            min_size=min(pool_size_min, pool_size_max),
            max_size=pool_size_max,
            max_waiting=_WAITING_MAX,
            timeout=_CHECKOUT_TIMEOUT_S,
            max_idle=_IDLE_S_MAX,
            open=False,
            check=_check,
            configure=_configure,
            kwargs={"autocommit": True, "application_name": "isthmus"},
        )
        try:
            await pool.open(wait=True, timeout=timeout_ms / 1000)
        except PoolTimeout as error:
            await pool.close()
            raise Unavailable(_UNAVAILABLE) from error
        return cls(dsn, pool)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def fetch(self, statement: str, *parameters: Any) -> list[Row]:
        """Run a statement; returns all its rows. A read is repeated once if its connection is lost."""
        used: AsyncConnection[Row] | None = None
        try:
            async with self._connection() as used:
                return await _fetch(used, statement, parameters)
        except Unavailable:
            if used is None or not used.broken or not statement.startswith("SELECT"):
                raise
        async with self._connection() as connection:
            return await _fetch(connection, statement, parameters)

    async def fetch_one(self, statement: str, *parameters: Any) -> Row | None:
        """Run a statement; returns its first row, if any. A read is repeated like those of `fetch`."""
        rows = await self.fetch(statement, *parameters)
        return rows[0] if rows else None

    async def execute(self, statement: str, *parameters: Any) -> int:
        """Run a statement; returns how many rows it touched."""
        async with self._connection() as connection:
            cursor = await connection.execute(statement, parameters or None, binary=True)
            return cursor.rowcount

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Run several statements as one; an exception inside rolls back."""
        async with self._connection() as connection, connection.transaction():
            yield Transaction(connection)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection[Row]]:
        with _translated_errors():
            async with self._pool.connection() as connection:
                yield connection


async def _fetch(connection: AsyncConnection[Row], statement: str, parameters: tuple[Any, ...]) -> list[Row]:
    cursor = await connection.execute(statement, parameters or None, binary=True)
    return await cursor.fetchall()


def _reading_on(gen: PQGen[Result], socket: int) -> PQGen[Result]:
    """Pass on what a generator waits for, but for what can be read already after the first wait."""
    readable = select.poll()
    readable.register(socket, select.POLLIN)
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            wanted = gen.send(ready)
            for _ in range(_PIECES_MAX):
                if wanted != Wait.R or not readable.poll(0):
                    break
                wanted = gen.send(Ready.R)
    except StopIteration as end:
        result: Result = end.value
        return result


async def _configure(connection: AsyncConnection[Row]) -> None:
    connection.prepare_threshold = _PREPARE_AFTER_USES - 1
    connection.prepared_max = _STATEMENTS_PREPARED_MAX
    connection.adapters.register_dumper(list, _ListDumper)
    await connection.execute(_SETTINGS)


async def _check(connection: AsyncConnection[Row]) -> None:
    # Finds a connection that the server has closed, without asking the server: the first of these reads may
    # find the server's last words, the second one that it has gone.
    connection.pgconn.consume_input()
    connection.pgconn.consume_input()


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (PoolTimeout, TooManyRequests, PoolClosed, psycopg.OperationalError) as error:
        raise Unavailable(_UNAVAILABLE) from error
    except psycopg.IntegrityError as error:
        raise Conflict("This was changed by someone else at the same time. Look again.") from error
