"""Table family `to_device`: messages that wait for devices, and which sendings were done already."""

from collections.abc import Collection, Sequence

from homeserver.core.changes import ToDeviceChange
from homeserver.core.positions import SyncToken
from storage.tables.queries import Queries
from storage.write import Statement, Write

__all__ = [
    "MESSAGE_INSERT", "TRANSACTION_INSERT", "add", "delete", "delete_of", "devices_to_reach",
    "expire_transactions", "expire_unparted", "is_sent", "sizes", "waiting",
]  # fmt: skip

MESSAGE_INSERT = Statement(
    name="to_device",
    rank=94,
    sql=(
        "INSERT INTO to_device (position, user_id, device_id, message)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::bytea[])"
    ),
)
"""Columns: position, user_id, device_id, the event."""

TRANSACTION_INSERT = Statement(
    name="to_device_transactions",
    rank=95,
    sql=(
        "INSERT INTO to_device_transactions (position, user_id, device_id, event_type, transaction_id)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[])"
    ),
)
"""Columns: position, user_id and device_id of the sender, event type, transaction ID."""

_READ = (
    "unnest(%b::text[], %b::text[], %b::integer[], %b::bigint[])"
    " AS read (user_id, device_id, writer_id, until)"
)
_WRITER = "(to_device.position >> 12) & 1023"


def add(
    write: Write, change: ToDeviceChange, *, sender: tuple[str, str], event_type: str, transaction_id: str
) -> None:
    """Add a sending to a write: a row for each device, the transaction, and the change that readers see.

    Args:
        write: to add to.
        change: the messages.
        sender: user ID and device ID.
        event_type: of all of them.
        transaction_id: the sender's.
    """
    position = change.position
    write.rows += [(MESSAGE_INSERT, (position, *message)) for message in change.messages]
    write.add(TRANSACTION_INSERT, position, *sender, event_type, transaction_id)
    write.changes.append(change)


async def is_sent(queries: Queries, sender: tuple[str, str], event_type: str, transaction_id: str) -> bool:
    """Whether a device has sent this before."""
    row = await queries.fetch_one(
        "SELECT 1 FROM to_device_transactions"
        " WHERE user_id = %b AND device_id = %b AND transaction_id = %b AND event_type = %b",
        *sender, transaction_id, event_type,
    )  # fmt: skip
    return row is not None


async def devices_to_reach(
    queries: Queries, sender: tuple[str, str], event_type: str, transaction_id: str, user_ids: Collection[str]
) -> list[tuple[str, str]] | None:
    """All devices of some users, (user ID, device ID); None if the sender has sent this before."""
    rows = await queries.fetch(
        "SELECT user_id, device_id FROM devices WHERE user_id = ANY(%b::text[]) UNION ALL"
        " SELECT NULL, NULL FROM to_device_transactions"
        " WHERE user_id = %b AND device_id = %b AND transaction_id = %b AND event_type = %b",
        list(user_ids), *sender, transaction_id, event_type,
    )  # fmt: skip
    return None if rows and rows[-1][0] is None else [(user_id, device_id) for user_id, device_id in rows]


async def waiting(
    queries: Queries, user_id: str, device_id: str, *, after: int, limit: int
) -> list[tuple[int, bytes]]:
    """Read what waits for a device above a position, oldest first: (position, event)."""
    rows = await queries.fetch(
        "SELECT position, message FROM to_device WHERE user_id = %b AND device_id = %b"
        " AND position > %b::bigint ORDER BY position LIMIT %b::bigint",
        user_id, device_id, after, limit,
    )  # fmt: skip
    return [(position, message) for position, message in rows]


async def sizes(
    queries: Queries, devices: Collection[tuple[str, str]], *, messages_max: int
) -> dict[tuple[str, str], tuple[int, int]]:
    """How much waits for each of some devices, (messages, bytes), where anything does.

    Args:
        queries: to read with.
        devices: (user ID, device ID).
        messages_max: no more than these are counted.
    """
    rows = await queries.fetch(
        "SELECT device.user_id, device.device_id, count(*), sum(bytes)::bigint"
        " FROM unnest(%b::text[], %b::text[]) AS device (user_id, device_id) CROSS JOIN LATERAL"
        " (SELECT octet_length(message) AS bytes FROM to_device WHERE to_device.user_id = device.user_id"
        " AND to_device.device_id = device.device_id LIMIT %b::bigint) AS waiting"
        " GROUP BY device.user_id, device.device_id",
        [user_id for user_id, _ in devices], [device_id for _, device_id in devices], messages_max,
    )  # fmt: skip
    return {(user_id, device_id): (count, size_bytes) for user_id, device_id, count, size_bytes in rows}


async def delete(queries: Queries, told: Sequence[tuple[str, str, SyncToken]]) -> int:
    """Delete what devices have got, each up to its place: (user ID, device ID, place); returns how many."""
    rows = [
        (user_id, device_id, writer_id, until)
        for user_id, device_id, place in told
        for writer_id, until in place.messages_until()
    ]
    if not rows:
        return 0
    return await queries.execute(
        f"DELETE FROM to_device USING {_READ} WHERE to_device.user_id = read.user_id"
        f" AND to_device.device_id = read.device_id AND to_device.position <= read.until"
        f" AND {_WRITER} = read.writer_id",
        *[list(column) for column in zip(*rows, strict=True)],
    )


async def delete_of(queries: Queries, user_id: str, device_ids: Collection[str]) -> int:
    """Delete all that waits for some devices of a user, and what they have sent; returns how many waited."""
    of_devices = "WHERE user_id = %b AND device_id = ANY(%b::text[])"
    await queries.execute(f"DELETE FROM to_device_transactions {of_devices}", user_id, list(device_ids))
    return await queries.execute(f"DELETE FROM to_device {of_devices}", user_id, list(device_ids))


async def expire_transactions(queries: Queries, before_position: int) -> int:
    """Forget what was sent before a position; returns how many."""
    return await queries.execute(
        "DELETE FROM to_device_transactions WHERE position < %b::bigint", before_position
    )


async def expire_unparted(queries: Queries, until: int) -> int:
    """Delete messages up to a position that are in no partition of their month; returns how many."""
    return await queries.execute("DELETE FROM to_device_default WHERE position <= %b::bigint", until)
