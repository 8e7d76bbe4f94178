"""Table family `devices`: the devices of local users. Deleting one deletes its session and tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables import to_device
from storage.tables.queries import Queries

__all__ = ["DeviceRow", "delete", "ensure", "find", "lock", "of_user", "rename"]


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device of a local user.

    Attributes:
        device_id: unique for the user.
        display_name: what the user calls it.
        created_ms: when it first logged in.
    """

    device_id: str
    display_name: str | None
    created_ms: int


async def ensure(
    queries: Queries, user_id: str, device_id: str, display_name: str | None, now_ms: int
) -> None:
    """Insert the device unless it is there, in which case it keeps its name; locks it until the commit."""
    row = await queries.fetch_one(
        "INSERT INTO devices (user_id, device_id, display_name, created_ms) VALUES (%s, %s, %s, %s)"
        # An update that changes nothing but takes the lock: two logins at once come one after the other.
        " ON CONFLICT (user_id, device_id) DO UPDATE SET device_id = excluded.device_id"
        " RETURNING xmax = 0",
        user_id, device_id, display_name, now_ms,
    )  # fmt: skip
    assert row is not None, "an upsert yields its row"
    if row[0]:
        # What was on its way to an earlier device of this ID when that was deleted is not for this one.
        await to_device.delete_of(queries, user_id, [device_id])


async def of_user(queries: Queries, user_id: str) -> list[DeviceRow]:
    """All devices of a user, by ID."""
    rows = await queries.fetch(
        "SELECT device_id, display_name, created_ms FROM devices WHERE user_id = %s ORDER BY device_id",
        user_id,
    )
    return [DeviceRow(*row) for row in rows]


async def find(queries: Queries, user_id: str, device_id: str) -> DeviceRow | None:
    """One device of a user, if there."""
    row = await queries.fetch_one(
        "SELECT device_id, display_name, created_ms FROM devices WHERE user_id = %s AND device_id = %s",
        user_id, device_id,
    )  # fmt: skip
    return None if row is None else DeviceRow(*row)


async def rename(queries: Queries, user_id: str, device_id: str, display_name: str | None) -> bool:
    """Set the display name; False if there is no such device."""
    updated = await queries.execute(
        "UPDATE devices SET display_name = %s WHERE user_id = %s AND device_id = %s",
        display_name, user_id, device_id,
    )  # fmt: skip
    return updated == 1


async def lock(queries: Queries, user_id: str, device_ids: Sequence[str] | None = None) -> list[str]:
    """Lock devices of a user until the commit; returns those that are there.

    Nobody logs in on a locked device, so that none of its sessions can be overlooked when it is deleted.

    Args:
        queries: a transaction.
        user_id: whose.
        device_ids: None: all but a dehydrated one, on which nobody is logged in.
    """
    rows = await queries.fetch(
        "SELECT device_id FROM devices WHERE user_id = %s AND CASE WHEN %s::text[] IS NULL"
        " THEN NOT EXISTS (SELECT 1 FROM dehydrated_devices AS dehydrated"
        " WHERE dehydrated.user_id = devices.user_id AND dehydrated.device_id = devices.device_id)"
        " ELSE device_id = ANY(%s::text[]) END ORDER BY device_id FOR UPDATE",
        user_id, device_ids, device_ids,
    )  # fmt: skip
    return [device_id for (device_id,) in rows]


async def delete(queries: Queries, user_id: str, device_ids: Sequence[str]) -> list[int]:
    """Delete devices that this transaction has locked, with what waits for them.

    Returns the sessions that ended with them.
    """
    await to_device.delete_of(queries, user_id, device_ids)
    ended = await queries.fetch(
        "DELETE FROM device_sessions WHERE user_id = %s AND device_id = ANY(%s::text[]) RETURNING session_id",
        user_id, device_ids,
    )  # fmt: skip
    await queries.execute(
        "DELETE FROM devices WHERE user_id = %s AND device_id = ANY(%s::text[])", user_id, device_ids
    )
    return [session_id for (session_id,) in ended]
