"""Table family `device_keys`: the identity keys of devices; and the look at all keys of users."""

from collections.abc import Collection, Sequence
from typing import Any

from storage.tables.queries import Queries

__all__ = ["DEVICE", "SIGNATURE", "KeyRow", "find", "lock_device", "of_users", "put"]

DEVICE = "device"
SIGNATURE = "signature"

_OF_USERS = (
    "SELECT %b, user_id, device_id, keys, display_name, NULL, NULL FROM device_keys"
    " JOIN devices USING (user_id, device_id) WHERE user_id = ANY(%b::text[])"
    " UNION ALL SELECT usage, user_id, public_key, key, NULL, NULL, NULL FROM cross_signing_keys"
    " WHERE user_id = ANY(%b::text[]) AND (usage <> 'user_signing' OR user_id = %b)"
    " UNION ALL SELECT %b, user_id, target, NULL, signature, signer_id, signer_key_id FROM key_signatures"
    " WHERE user_id = ANY(%b::text[]) AND (signer_id = user_id OR signer_id = %b)"
)


KeyRow = tuple[Any, ...]
"""A key of a user: `DEVICE` or the usage of a cross-signing key, user ID, device ID or public key, JSON, the
device's display name if it has one, None, None. Or a signature of one: `SIGNATURE`, user ID, device ID or
public key, None, the signature, who signed, the ID of the key that signed."""


async def lock_device(queries: Queries, user_id: str, device_id: str) -> bool:
    """Lock a device until the commit, so that its keys change one after the other; whether it is there."""
    row = await queries.fetch_one(
        "SELECT 1 FROM devices WHERE user_id = %b AND device_id = %b FOR NO KEY UPDATE", user_id, device_id
    )
    return row is not None


async def find(queries: Queries, user_id: str, device_id: str) -> bytes | None:
    """Read the identity keys of a device, if it has any."""
    row = await queries.fetch_one(
        "SELECT keys FROM device_keys WHERE user_id = %b AND device_id = %b", user_id, device_id
    )
    return None if row is None else row[0]


async def put(queries: Queries, user_id: str, device_id: str, keys: bytes) -> None:
    """Set the identity keys of a device."""
    await queries.execute(
        "INSERT INTO device_keys (user_id, device_id, keys) VALUES (%b, %b, %b)"
        " ON CONFLICT (user_id, device_id) DO UPDATE SET keys = excluded.keys",
        user_id, device_id, keys,
    )  # fmt: skip


async def of_users(queries: Queries, user_ids: Collection[str], reader_id: str) -> Sequence[KeyRow]:
    """Read the keys of users that a reader may see, with the owners' signatures and the reader's own."""
    users = list(user_ids)
    return await queries.fetch(_OF_USERS, DEVICE, users, users, reader_id, SIGNATURE, users, reader_id)
