"""Table family `to_device`: messages that wait for devices, and which sendings were done already.

Messages are written to `device_inboxes`, by the numbers of their devices. What an earlier version wrote to
`to_device`, by their names, is read and deleted there until there is nothing left.
"""

from collections.abc import Collection, Sequence
from typing import Any

from homeserver.core.changes import ToDeviceChange
from homeserver.core.positions import SyncToken
from storage.tables.queries import Queries
from storage.write import Statement, Write

__all__ = [
    "MESSAGE_INSERT", "TRANSACTION_INSERT", "Device", "add", "delete", "delete_of", "devices_of",
    "devices_to_reach", "expire_transactions", "expire_unparted", "is_sent", "sizes", "waiting",
]  # fmt: skip

Device = tuple[str, str, int]
"""User ID, device ID, and the number of the device, which no later device with the same ID has."""

MESSAGE_INSERT = Statement(
    name="device_inboxes",
    rank=94,
    sql=(
        "INSERT INTO device_inboxes (position, device_nid, message)"
        " SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::bytea[])"
    ),
)
"""Columns: position, the number of the device, the event."""

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
    "SELECT read.*, devices.nid FROM unnest(%b::text[], %b::text[], %b::integer[], %b::bigint[])"
    " AS read (user_id, device_id, writer_id, until) JOIN devices USING (user_id, device_id)"
)
_COVERED = "{0}.position <= read.until AND ({0}.position >> 12) & 1023 = read.writer_id"
_DELETE_READ = (
    f"WITH read AS MATERIALIZED ({_READ}), deleted AS (DELETE FROM device_inboxes USING read"
    f" WHERE device_nid = read.nid AND {_COVERED.format('device_inboxes')} RETURNING 1),"
    " earlier AS (DELETE FROM to_device USING read WHERE to_device.user_id = read.user_id"
    f" AND to_device.device_id = read.device_id AND {_COVERED.format('to_device')} RETURNING 1)"
    " SELECT (SELECT count(*) FROM deleted) + (SELECT count(*) FROM earlier)"
)
_DELETE_OF = (
    "WITH lost AS (DELETE FROM device_inboxes WHERE device_nid IN (SELECT nid FROM devices"
    " WHERE user_id = %b AND device_id = ANY(%b::text[])) RETURNING 1),"
    " earlier AS (DELETE FROM to_device WHERE user_id = %b AND device_id = ANY(%b::text[]) RETURNING 1)"
    " SELECT (SELECT count(*) FROM lost) + (SELECT count(*) FROM earlier)"
)


def add(
    write: Write, change: ToDeviceChange, device_nids: Sequence[int], *,
    sender: tuple[str, str], event_type: str, transaction_id: str,
) -> None:  # fmt: skip
    """Add a sending to a write: a row for each device, the transaction, and the change that readers see.

    Args:
        write: to add to.
        change: the messages.
        device_nids: the numbers of their devices, in the same order.
        sender: user ID and device ID.
        event_type: of all of them.
        transaction_id: the sender's.
    """
    position = change.position
    write.rows += [
        (MESSAGE_INSERT, (position, nid, message))
        for nid, (_, _, message) in zip(device_nids, change.messages, strict=True)
    ]
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


async def devices_of(queries: Queries, user_ids: Collection[str]) -> list[Device]:
    """All devices of some users."""
    rows = await queries.fetch(
        "SELECT user_id, device_id, nid FROM devices WHERE user_id = ANY(%b::text[])", list(user_ids)
    )
    return [(user_id, device_id, nid) for user_id, device_id, nid in rows]


async def devices_to_reach(
    queries: Queries, sender: tuple[str, str], event_type: str, transaction_id: str, user_ids: Collection[str]
) -> list[Device] | None:
    """All devices of some users; None if the sender has sent this before."""
    rows = await queries.fetch(
        "SELECT user_id, device_id, nid FROM devices WHERE user_id = ANY(%b::text[]) UNION ALL"
        " SELECT NULL, NULL, NULL FROM to_device_transactions"
        " WHERE user_id = %b AND device_id = %b AND transaction_id = %b AND event_type = %b",
        list(user_ids), *sender, transaction_id, event_type,
    )  # fmt: skip
    if rows and rows[-1][0] is None:
        return None
    return [(user_id, device_id, nid) for user_id, device_id, nid in rows]


async def waiting(
    queries: Queries, user_id: str, device_id: str, *, after: int, limit: int
) -> list[tuple[int, bytes]]:
    """Read what waits for a device above a position, oldest first: (position, event)."""
    page = "AND position > %b::bigint ORDER BY position LIMIT %b::bigint)"
    rows = await queries.fetch(
        "(SELECT position, message FROM device_inboxes WHERE device_nid ="
        f" (SELECT nid FROM devices WHERE user_id = %b AND device_id = %b) {page} UNION ALL"
        f" (SELECT position, message FROM to_device WHERE user_id = %b AND device_id = %b {page}"
        " ORDER BY position LIMIT %b::bigint",
        user_id, device_id, after, limit, user_id, device_id, after, limit, limit,
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
        " FROM unnest(%b::text[], %b::text[]) AS asked (user_id, device_id)"
        " JOIN devices AS device USING (user_id, device_id) CROSS JOIN LATERAL"
        " (SELECT octet_length(message) AS bytes FROM device_inboxes WHERE device_nid = device.nid UNION ALL"
        " SELECT octet_length(message) FROM to_device WHERE to_device.user_id = device.user_id"
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
    columns = [list(column) for column in zip(*rows, strict=True)]
    return await _count(queries, _DELETE_READ, *columns)


async def delete_of(queries: Queries, user_id: str, device_ids: Collection[str]) -> int:
    """Delete all that waits for some devices of a user, and what they have sent; returns how many waited."""
    devices = user_id, list(device_ids)
    await queries.execute(
        "DELETE FROM to_device_transactions WHERE user_id = %b AND device_id = ANY(%b::text[])", *devices
    )
    return await _count(queries, _DELETE_OF, *devices, *devices)


async def _count(queries: Queries, statement: str, *parameters: Any) -> int:
    row = await queries.fetch_one(statement, *parameters)
    assert row is not None, "a count is a row"
    return int(row[0])


async def expire_transactions(queries: Queries, before_position: int) -> int:
    """Forget what was sent before a position; returns how many."""
    return await queries.execute(
        "DELETE FROM to_device_transactions WHERE position < %b::bigint", before_position
    )


async def expire_unparted(queries: Queries, until: int) -> int:
    """Delete messages up to a position that are in no partition of their month; returns how many."""
    return sum(
        [
            await queries.execute(f"DELETE FROM {table}_default WHERE position <= %b::bigint", until)
            for table in ("device_inboxes", "to_device")
        ]
    )
