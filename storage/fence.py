"""The first statement of every flush, and the question whether a flush took place.

The fence moves `flush_number` on by one, if the epoch is still ours; else it fails, and the flush with it. A
flush number is used once, so a flush whose answer was lost has it, or never will once it is used up.
"""

from struct import pack

from storage.lane import Step, StepFailedError
from storage.pool import Database
from storage.writers import LEASE_MS, Lease

__all__ = ["FENCE", "fence_parameters", "is_fenced_off", "settle"]

FENCE = Step(
    "fence",
    0,
    "WITH fence AS (UPDATE writers SET flush_number = %b::bigint, last_position = %b::bigint,"
    f" expires_at = clock_timestamp() + interval '{LEASE_MS} milliseconds' WHERE writer_id = %b::smallint"
    " AND epoch = %b::bigint AND flush_number = %b::bigint RETURNING 1) SELECT 1 / count(*) FROM fence",
)
_DIVISION_BY_ZERO = "22012"

# Waits for a flush that is still at work; if it has not taken effect, uses its number up: then it never will.
_USE_UP = (
    "UPDATE writers SET flush_number = %b::bigint WHERE writer_id = %b::smallint AND epoch = %b::bigint"
    " AND flush_number = %b::bigint"
)
_FLUSH_NUMBER = "SELECT flush_number FROM writers WHERE writer_id = %b::smallint AND epoch = %b::bigint"


def fence_parameters(lease: Lease, number: int, last_position: int) -> list[bytes]:
    """Put the parameters of `FENCE` in PostgreSQL's binary format."""
    return [
        pack(">q", number), pack(">q", last_position), pack(">h", lease.writer_id), pack(">q", lease.epoch),
        pack(">q", number - 1),
    ]  # fmt: skip


def is_fenced_off(error: StepFailedError) -> bool:
    """Whether a flush failed because another has taken the lease over."""
    return error.step_name == FENCE.name and error.sqlstate == _DIVISION_BY_ZERO


async def settle(database: Database, lease: Lease, number: int) -> bool | None:
    """Find out whether the flush with this number took place, and see to it that it no longer can.

    Returns:
        Whether it did; None if another has taken the lease over.

    Raises:
        Unavailable: the database does not answer; ask again.
    """
    if await database.execute(_USE_UP, number, lease.writer_id, lease.epoch, number - 1):
        lease.flush_number = number
        return False
    row = await database.fetch_one(_FLUSH_NUMBER, lease.writer_id, lease.epoch)
    return True if row is not None and row[0] == number else None
