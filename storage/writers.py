"""Writer leases: who may write, under which writer ID, and who no longer may.

A lease holds for three seconds by the database's clock. It is renewed by every flush and by a heartbeat.
Taking one over raises its epoch, and every later flush of the former holder finds no row to update: it is
fenced.
"""

import asyncio
from dataclasses import dataclass

from homeserver.core.errors import Unavailable
from homeserver.core.positions import EPHEMERAL_WRITER_OFFSET
from homeserver.runtime.clock import Clock
from storage.pool import Database, Row

__all__ = ["LEASE_MS", "Lease", "Writers"]

LEASE_MS = 3_000
HEARTBEAT_MS = 1_000
assert HEARTBEAT_MS * 2 < LEASE_MS, "one heartbeat may be late without the lease running out"

_WRITERS_MAX = EPHEMERAL_WRITER_OFFSET
_NEW_EXPIRY = f"clock_timestamp() + interval '{LEASE_MS} milliseconds'"
_WRITER = " WHERE writer_id = %b::smallint AND epoch = %b::bigint"
_RETURNING = (
    " RETURNING writer_id, epoch, flush_number,"
    " greatest(writers.last_position, (SELECT max(last_position) FROM writers))"
)
_FREE = (
    "(SELECT writer_id FROM writers WHERE expires_at < clock_timestamp()"
    " ORDER BY writer_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
)
_TAKE_FREE = (
    f"UPDATE writers SET epoch = epoch + 1, expires_at = {_NEW_EXPIRY} WHERE writer_id = {_FREE}{_RETURNING}"
)
_TAKE_FIRST = (
    "INSERT INTO writers (writer_id, epoch, flush_number, last_position, expires_at)"
    f" VALUES (0, 1, 0, 0, {_NEW_EXPIRY})"
    f" ON CONFLICT (writer_id) DO UPDATE SET epoch = writers.epoch + 1, expires_at = {_NEW_EXPIRY}"
    f"{_RETURNING}"
)
_ADD = (
    "INSERT INTO writers (writer_id, epoch, flush_number, last_position, expires_at)"
    f" SELECT free, 1, 0, 0, {_NEW_EXPIRY} FROM generate_series(0, {_WRITERS_MAX - 1}) AS free"
    " WHERE free NOT IN (SELECT writer_id FROM writers) ORDER BY free LIMIT 1"
    f" ON CONFLICT DO NOTHING{_RETURNING}"
)
# A lost renewal costs nothing, so the commit need not wait for the disk; the setting ends with the statement.
_RENEW = (
    f"UPDATE writers SET expires_at = {_NEW_EXPIRY}"
    " FROM (SELECT set_config('synchronous_commit', 'off', true)) AS quick"
    f"{_WRITER}"
)
_RELEASE = f"UPDATE writers SET expires_at = clock_timestamp() - interval '1 second'{_WRITER}"


@dataclass(slots=True, eq=False)
class Lease:
    """The right to write under one writer ID.

    Attributes:
        writer_id: part of every position.
        epoch: raised by whoever takes the lease over.
        flush_number: of the last flush that took effect; the journal counts it on.
        last_position: no writer has gone above it; the holder starts there.
        is_lost: whether another has taken it over.
        renewed_ms: when it was last renewed, on the monotonic clock.
    """

    writer_id: int
    epoch: int
    flush_number: int
    last_position: int
    is_lost: bool = False
    renewed_ms: int = 0


class Writers:
    """Gives, renews and ends leases.

    Args:
        database: where they are.
        clock: tells when a renewal is due.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def acquire(self, *, takes_over: bool = False) -> Lease:
        """Take a lease.

        Args:
            takes_over: take writer 0, whoever holds it: for a server that is one process, which need not wait
                for the lease of its own crashed predecessor to run out, and fences it if it is still alive.

        Raises:
            Unavailable: all writer IDs are in use.
        """
        for statement in (_TAKE_FIRST,) if takes_over else (_TAKE_FREE, _ADD, _ADD, _ADD):
            row = await self._database.fetch_one(statement)
            if row is not None:
                return self._lease(row)
        raise Unavailable("Every writer ID is in use. Stop a worker, or wait until a lease has run out.")

    def _lease(self, row: Row) -> Lease:
        lease = Lease(*row)
        lease.renewed_ms = self._clock.monotonic_ms()
        return lease

    async def renew(self, lease: Lease) -> None:
        """Renew a lease now; marks it as lost if another has it."""
        count = await self._database.execute(_RENEW, lease.writer_id, lease.epoch)
        if count == 0:
            lease.is_lost = True
        else:
            lease.renewed_ms = self._clock.monotonic_ms()

    async def keep(self, lease: Lease) -> None:
        """Renew a lease whenever no flush has done so lately; returns when it is lost."""
        while not lease.is_lost:
            due_ms = lease.renewed_ms + HEARTBEAT_MS - self._clock.monotonic_ms()
            if due_ms > 0:
                await asyncio.sleep(due_ms / 1000)
                continue
            try:
                await self.renew(lease)
            except Unavailable:  # the flushes find out; this tries again
                await asyncio.sleep(HEARTBEAT_MS / 1000)

    async def release(self, lease: Lease) -> None:
        """End a lease, so that another need not wait for it to run out."""
        await self._database.execute(_RELEASE, lease.writer_id, lease.epoch)
        lease.is_lost = True
