"""The journal's own connection: a flush is sent in one go, and all of it takes effect or none.

Between two synchronisations of libpq's pipeline mode the server runs everything in one implicit transaction,
so a flush needs neither BEGIN nor COMMIT: one packet out, one packet back. Statements are prepared once. This
uses libpq through `psycopg.pq` directly, since adapting thousands of values one by one is most of the cost.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from operator import itemgetter
from typing import Any

import psycopg
from psycopg import pq

from storage.arrays import ENCODERS, Encoder
from storage.write import Statement

__all__ = ["Lane", "LaneLostError", "Step", "StepFailedError"]

_PLACEHOLDER = re.compile(r"%b::(\w+)(\[\])?")
_CONNECT_TIMEOUT_S = 10.0
_BINARY = 1
# A generic plan is made once; these statements have one sensible plan whatever their parameters.
_SETTINGS = (
    "SET plan_cache_mode = force_generic_plan; SET statement_timeout = 20000; SET lock_timeout = 10000"
)
_names = count(1)


class LaneLostError(Exception):
    """The connection was lost; whether the flush took place is not known."""


class StepFailedError(Exception):
    """The server refused a step, and so the whole flush.

    Attributes:
        step_name: the step's name.
        sqlstate: why.
    """

    def __init__(self, step_name: str, sqlstate: str, message: str) -> None:
        super().__init__(f"{step_name}: {sqlstate} {message}")
        self.step_name = step_name
        self.sqlstate = sqlstate


class Step:
    """A statement as libpq takes it: `$1` for `%b`, with a name to prepare it under."""

    __slots__ = ("encoders", "formats", "key_of", "name", "prepared_name", "rank", "sql")

    def __init__(self, name: str, rank: int, sql: str, keys: tuple[int, ...] = ()) -> None:
        numbers = count(1)
        types: list[tuple[str, str]] = _PLACEHOLDER.findall(sql)
        self.name = name
        self.rank = rank
        self.sql = _PLACEHOLDER.sub(
            lambda match: f"${next(numbers)}::{match[1]}{match[2] or ''}", sql
        ).encode()
        assert b"%b" not in self.sql, f"{name}: a parameter without a type we can encode"
        self.prepared_name = f"{name}_{next(_names)}".encode()
        self.encoders: list[Encoder] = [ENCODERS[type_] for type_, is_array in types if is_array]
        self.formats = [_BINARY] * len(types)
        self.key_of = itemgetter(*keys) if keys else None

    @classmethod
    def of(cls, statement: Statement) -> "Step":
        """Make the step of a table family's statement, all of whose parameters are arrays."""
        step = cls(statement.name, statement.rank, statement.sql, statement.keys)
        assert len(step.encoders) == len(step.formats), f"{step.name}: a parameter that is no array"
        return step

    def encode(self, rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """Turn rows into one binary array a column. Of rows with the same key the last one counts."""
        if self.key_of is not None and len(rows) > 1:
            rows = list({self.key_of(row): row for row in rows}.values())
        columns = zip(*rows, strict=True)
        return [encode(column) for encode, column in zip(self.encoders, columns, strict=True)]


@dataclass(slots=True, eq=False)
class _Flight:
    done: asyncio.Future[None]
    sent: list[tuple[Step, bool]]  # whether it was the preparation
    answered: int = 0
    failure: StepFailedError | None = None


class Lane:
    """One connection in pipeline mode, one flush at a time.

    Args:
        connection: a fresh one; the lane owns it from then on.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._socket = connection.pgconn.socket
        self._loop = asyncio.get_running_loop()
        self._is_watching = False
        self._prepared: set[Step] = set()
        self._flight: _Flight | None = None

    @classmethod
    async def connect(cls, dsn: str) -> "Lane":
        """Connect.

        Raises:
            LaneLostError: the database does not answer.
        """
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                connection = await psycopg.AsyncConnection.connect(
                    dsn, autocommit=True, application_name="isthmus journal"
                )
                await connection.execute(_SETTINGS)
        except (psycopg.Error, TimeoutError) as error:
            raise LaneLostError(str(error)) from error
        lane = cls(connection)
        connection.pgconn.enter_pipeline_mode()
        return lane

    async def run(self, steps: Sequence[tuple[Step, Sequence[bytes]]]) -> None:
        """Run all steps as one transaction.

        Raises:
            StepFailedError: the server refused one; nothing has taken effect.
            LaneLostError: the answer did not come; the lane is closed.
        """
        assert self._flight is None, "one flush at a time"
        flight = self._flight = _Flight(self._loop.create_future(), [])
        is_whole = False
        try:
            self._send(steps, flight)
            self._loop.add_reader(self._socket, self._readable)
            self._is_watching = True
            self._write()
            await flight.done
            is_whole = True
        except psycopg.Error as error:
            raise LaneLostError(str(error)) from error
        finally:
            self._flight = None
            self._let_go()
            if not is_whole:  # what is on its way back would be taken for the next answer
                await self.close()
        if flight.failure is not None:
            raise flight.failure

    async def close(self) -> None:
        """Close the connection."""
        self._let_go()
        await self._connection.close()

    def _send(self, steps: Sequence[tuple[Step, Sequence[bytes]]], flight: _Flight) -> None:
        pgconn = self._pgconn
        for step, parameters in steps:
            if step not in self._prepared:
                pgconn.send_prepare(step.prepared_name, step.sql)
                flight.sent.append((step, True))
            pgconn.send_query_prepared(step.prepared_name, parameters, step.formats, _BINARY)
            flight.sent.append((step, False))
        pgconn.pipeline_sync()

    def _write(self) -> None:
        """Send what libpq holds; a large flush does not fit into the socket at once."""
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._writable)
        self._check()

    def _writable(self) -> None:
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
            self._check()
        except psycopg.Error as error:
            self._lose(error)

    def _readable(self) -> None:
        flight = self._flight
        assert flight is not None
        pgconn = self._pgconn
        try:
            pgconn.consume_input()
            self._check()
            while not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:  # ends the results of one step
                    continue
                if result.status == pq.ExecStatus.PIPELINE_SYNC:
                    if not flight.done.done():
                        flight.done.set_result(None)
                    return
                self._take(result, flight)
                self._check()
        except psycopg.Error as error:
            self._lose(error)

    def _take(self, result: pq.abc.PGresult, flight: _Flight) -> None:
        step, was_preparation = flight.sent[flight.answered]
        flight.answered += 1
        if result.status == pq.ExecStatus.FATAL_ERROR:
            sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE) or b""
            message = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message
            failure = StepFailedError(step.name, sqlstate.decode(), message.decode(errors="replace"))
            flight.failure = flight.failure or failure
        elif was_preparation and result.status == pq.ExecStatus.COMMAND_OK:
            self._prepared.add(step)

    def _check(self) -> None:
        """Raise if libpq has found the connection closed; found while sending, it says so nowhere else."""
        if self._pgconn.status == pq.ConnStatus.BAD:
            raise psycopg.OperationalError(self._pgconn.get_error_message())

    def _let_go(self) -> None:
        # Once and at once, since the number of a socket that libpq has closed is soon another's.
        if self._is_watching:
            self._is_watching = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)

    def _lose(self, error: psycopg.Error) -> None:
        self._let_go()
        if self._flight is not None and not self._flight.done.done():
            self._flight.done.set_exception(error)
