"""Table family `key_backups`: versions of backups, and the keys in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "BackedUpKey", "BackupRow", "KeyPlace", "count_live", "create", "current", "delete_keys", "find",
    "forget_some", "hide", "hide_all", "keys", "last_version", "lock", "lock_current", "note_change", "put",
    "set_auth_data", "unfinished",
]  # fmt: skip

_COLUMNS = "version, etag, key_count, algorithm, auth_data"
_OF_USER = f"SELECT {_COLUMNS} FROM key_backups WHERE user_id = %b AND NOT is_deleted"
_LATEST = "ORDER BY version DESC LIMIT 1"
_AT = "user_id = %b AND version = %b::bigint AND NOT is_deleted"
_PREFERRED = "(NOT {0}.is_verified, {0}.first_message_index, {0}.forwarded_count)"
_MERGE = (
    "WITH put AS (INSERT INTO backed_up_keys AS kept (user_id, version, room_id, session_id, is_verified,"
    " first_message_index, forwarded_count, session_data)"
    " SELECT %b::text, %b::bigint, * FROM unnest(%b::text[], %b::text[], %b::boolean[], %b::bigint[],"
    " %b::bigint[], %b::bytea[])"
    " ON CONFLICT (user_id, version, room_id, session_id) DO UPDATE SET is_verified = excluded.is_verified,"
    " first_message_index = excluded.first_message_index, forwarded_count = excluded.forwarded_count,"
    " session_data = excluded.session_data"
    f" WHERE {_PREFERRED.format('excluded')} < {_PREFERRED.format('kept')}"
    " RETURNING kept.xmax = 0 AS is_new)"
    " SELECT count(*) FILTER (WHERE is_new), count(*) FROM put"
)


@dataclass(frozen=True, slots=True)
class BackupRow:
    """One version of a user's backup.

    Attributes:
        version: its number.
        etag: how often its keys changed.
        key_count: how many keys it has.
        algorithm: how its keys are encrypted.
        auth_data: JSON object, of the algorithm.
    """

    version: int
    etag: int
    key_count: int
    algorithm: str
    auth_data: bytes


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where keys are: in all rooms, in one room, or one key.

    Attributes:
        room_id: None: in every room.
        session_id: None: of every session.
    """

    room_id: str | None = None
    session_id: str | None = None

    def where(self) -> tuple[str, list[str]]:
        """Write the condition, and its parameters."""
        if self.room_id is None:
            return "", []
        if self.session_id is None:
            return " AND room_id = %b", [self.room_id]
        return " AND room_id = %b AND session_id = %b", [self.room_id, self.session_id]


@dataclass(slots=True)
class BackedUpKey:
    """The key of one session.

    Attributes:
        room_id: the session's room.
        session_id: of the session.
        is_verified: whether the device that it came from was verified.
        first_message_index: from which message on it decrypts.
        forwarded_count: over how many devices it came.
        session_data: JSON object, encrypted by the client.
    """

    room_id: str
    session_id: str
    is_verified: bool
    first_message_index: int
    forwarded_count: int
    session_data: bytes


async def create(queries: Queries, user_id: str, algorithm: str, auth_data: bytes) -> int:
    """Make a version above all that the user ever had; returns its number. To be run in a transaction."""
    row = await queries.fetch_one(
        "INSERT INTO key_backup_versions (user_id, last_version) VALUES (%b, 1)"
        " ON CONFLICT (user_id) DO UPDATE SET last_version = key_backup_versions.last_version + 1"
        " RETURNING last_version",
        user_id,
    )
    assert row is not None, "an upsert yields its row"
    await queries.execute(
        "INSERT INTO key_backups (user_id, version, algorithm, auth_data)"
        " VALUES (%b, %b::bigint, %b, %b::bytea)",
        user_id, row[0], algorithm, auth_data,
    )  # fmt: skip
    return int(row[0])


async def last_version(queries: Queries, user_id: str) -> int:
    """The highest version that the user ever had; 0: none."""
    row = await queries.fetch_one(
        "SELECT last_version FROM key_backup_versions WHERE user_id = %b", user_id
    )
    return 0 if row is None else int(row[0])


async def count_live(queries: Queries, user_id: str) -> int:
    """How many versions the user has."""
    row = await queries.fetch_one(
        "SELECT count(*) FROM key_backups WHERE user_id = %b AND NOT is_deleted", user_id
    )
    assert row is not None, "an aggregate yields its row"
    return int(row[0])


async def current(queries: Queries, user_id: str) -> BackupRow | None:
    """The user's latest version, if any."""
    row = await queries.fetch_one(f"{_OF_USER} {_LATEST}", user_id)
    return None if row is None else BackupRow(*row)


async def find(queries: Queries, user_id: str, version: int) -> BackupRow | None:
    """One version, if it is there."""
    row = await queries.fetch_one(f"{_OF_USER} AND version = %b::bigint", user_id, version)
    return None if row is None else BackupRow(*row)


async def lock(queries: Queries, user_id: str, version: int) -> BackupRow | None:
    """One version, if it is there, locked until the commit: changes of its keys come one after the other."""
    row = await queries.fetch_one(f"{_OF_USER} AND version = %b::bigint FOR UPDATE", user_id, version)
    return None if row is None else BackupRow(*row)


async def lock_current(queries: Queries, user_id: str) -> BackupRow | None:
    """The user's latest version, if any, locked until the commit."""
    row = await queries.fetch_one(f"{_OF_USER} {_LATEST} FOR UPDATE", user_id)
    return None if row is None else BackupRow(*row)


async def set_auth_data(queries: Queries, user_id: str, version: int, auth_data: bytes) -> None:
    """Replace the authentication data of a version."""
    await queries.execute(
        f"UPDATE key_backups SET auth_data = %b::bytea WHERE {_AT}", auth_data, user_id, version
    )


async def put(queries: Queries, user_id: str, version: int, keys: Sequence[BackedUpKey]) -> tuple[int, int]:
    """Store keys, each unless there is a better one; returns how many are new, and how many were stored.

    Better is one that is verified, then one with a lower first index, then one that was forwarded less.
    """
    new, stored = await queries.fetch_one(
        _MERGE, user_id, version, [key.room_id for key in keys], [key.session_id for key in keys],
        [key.is_verified for key in keys], [key.first_message_index for key in keys],
        [key.forwarded_count for key in keys], [key.session_data for key in keys],
    ) or (0, 0)  # fmt: skip
    return int(new), int(stored)


async def note_change(queries: Queries, user_id: str, version: int, *, keys_more: int) -> tuple[int, int]:
    """Count a change of the keys of a version that is locked; returns the etag and how many keys it has."""
    row = await queries.fetch_one(
        f"UPDATE key_backups SET etag = etag + 1, key_count = key_count + %b::bigint WHERE {_AT}"
        " RETURNING etag, key_count",
        keys_more, user_id, version,
    )  # fmt: skip
    assert row is not None, "it is locked"
    return int(row[0]), int(row[1])


async def keys(
    queries: Queries, user_id: str, version: int, place: KeyPlace, *, after: tuple[str, str], limit: int
) -> list[BackedUpKey]:
    """Read keys of a version, by room and session, from after one on."""
    condition, parameters = place.where()
    rows = await queries.fetch(
        "SELECT room_id, session_id, is_verified, first_message_index, forwarded_count, session_data"
        f" FROM backed_up_keys WHERE user_id = %b AND version = %b::bigint{condition}"
        " AND (room_id, session_id) > (%b, %b) ORDER BY room_id, session_id LIMIT %b::bigint",
        user_id, version, *parameters, *after, limit,
    )  # fmt: skip
    return [BackedUpKey(*row) for row in rows]


async def delete_keys(queries: Queries, user_id: str, version: int, place: KeyPlace) -> int:
    """Delete keys of a version; returns how many there were."""
    condition, parameters = place.where()
    return await queries.execute(
        f"DELETE FROM backed_up_keys WHERE user_id = %b AND version = %b::bigint{condition}",
        user_id, version, *parameters,
    )  # fmt: skip


async def hide(queries: Queries, user_id: str, version: int) -> bool:
    """Let nobody see a version any more; False if it was not there."""
    hidden = await queries.execute(
        f"UPDATE key_backups SET is_deleted = true WHERE {_AT}", user_id, version
    )
    return hidden == 1


async def hide_all(queries: Queries, user_id: str) -> None:
    """Let nobody see any version of a user any more."""
    await queries.execute("UPDATE key_backups SET is_deleted = true WHERE user_id = %b", user_id)


async def unfinished(queries: Queries, limit: int) -> list[tuple[str, int]]:
    """Versions that are hidden and not deleted yet: (user ID, version)."""
    rows = await queries.fetch(
        "SELECT user_id, version FROM key_backups WHERE is_deleted LIMIT %b::bigint", limit
    )
    return [(user_id, version) for user_id, version in rows]


async def forget_some(queries: Queries, user_id: str, version: int, limit: int) -> bool:
    """Delete some keys of a hidden version, and the version once there are none; tells if it is gone."""
    deleted = await queries.execute(
        "DELETE FROM backed_up_keys WHERE (user_id, version, room_id, session_id) IN"
        " (SELECT user_id, version, room_id, session_id FROM backed_up_keys"
        " WHERE user_id = %b AND version = %b::bigint LIMIT %b::bigint)",
        user_id, version, limit,
    )  # fmt: skip
    if deleted == limit:
        return False
    await queries.execute(
        "DELETE FROM key_backups WHERE user_id = %b AND version = %b::bigint AND is_deleted", user_id, version
    )
    return True
