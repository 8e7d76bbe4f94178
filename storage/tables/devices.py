"""Table family `devices`: the devices of local users. Deleting one deletes its session and tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["DeviceRow", "delete", "delete_all", "ensure", "find", "of_user", "rename"]


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
    await queries.execute(
        "INSERT INTO devices (user_id, device_id, display_name, created_ms) VALUES (%s, %s, %s, %s)"
        # An update that changes nothing but takes the lock: two logins at once come one after the other.
        " ON CONFLICT (user_id, device_id) DO UPDATE SET device_id = excluded.device_id",
        user_id, device_id, display_name, now_ms,
    )  # fmt: skip


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


async def delete(queries: Queries, user_id: str, device_ids: Sequence[str]) -> list[int]:
    """Delete devices of a user; returns the sessions that ended with them."""
    rows = await queries.fetch(
        "WITH sessions AS (SELECT session_id FROM device_sessions"
        "  WHERE user_id = %s AND device_id = ANY(%s)),"
        " gone AS (DELETE FROM devices WHERE user_id = %s AND device_id = ANY(%s))"
        " SELECT session_id FROM sessions",
        user_id, list(device_ids), user_id, list(device_ids),
    )  # fmt: skip
    return [session_id for (session_id,) in rows]


async def delete_all(queries: Queries, user_id: str) -> list[int]:
    """Delete all devices of a user; returns the sessions that ended with them."""
    rows = await queries.fetch(
        "WITH sessions AS (SELECT session_id FROM device_sessions WHERE user_id = %s),"
        " gone AS (DELETE FROM devices WHERE user_id = %s) SELECT session_id FROM sessions",
        user_id, user_id,
    )  # fmt: skip
    return [session_id for (session_id,) in rows]
