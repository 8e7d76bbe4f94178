"""Table families `remote_device_lists` and `remote_devices`: devices of users of other servers."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "NEVER_READ", "KeptKeys", "KeptList", "RemoteDevice", "begin", "delete_device", "device_count",
    "find_device", "forget_unshared", "forget_unshared_of_room", "fresh", "lock", "mark_stale",
    "own_signatures", "postpone", "put_device", "replace", "set_signing_keys", "set_stream_id", "shared",
    "stale",
]  # fmt: skip

NEVER_READ = -1

_SHARED = (
    "EXISTS (SELECT 1 FROM interned_users JOIN memberships ON memberships.user_nid = interned_users.nid"
    " JOIN room_counts ON room_counts.room_nid = memberships.room_nid"
    " WHERE interned_users.text = {user_id} AND membership = 'join' AND joined_local > 0)"
)


@dataclass(frozen=True, slots=True)
class KeptList:
    """What is known of a user's list.

    Attributes:
        stream_id: of the last update that is in it.
        is_stale: more has changed.
        failures: how often it could not be read in a row.
    """

    stream_id: int
    is_stale: bool
    failures: int


@dataclass(frozen=True, slots=True)
class RemoteDevice:
    """A device of a user of another server.

    Attributes:
        device_id: its ID.
        display_name: what the user calls it.
        keys: JSON object; None: it has no keys.
    """

    device_id: str
    display_name: str | None
    keys: bytes | None


@dataclass(frozen=True, slots=True)
class KeptKeys:
    """All that is kept of a user.

    Attributes:
        user_id: whose.
        master_key: JSON object.
        self_signing_key: JSON object.
        devices: those that have keys, and those that have none.
    """

    user_id: str
    master_key: bytes | None
    self_signing_key: bytes | None
    devices: list[RemoteDevice]


async def shared(queries: Queries, user_ids: Collection[str]) -> set[str]:
    """Name those of some users who share a room with a user of this server."""
    rows = await queries.fetch(
        "SELECT user_id FROM unnest(%b::text[]) AS asked (user_id)"
        f" WHERE {_SHARED.format(user_id='user_id')}",
        list(user_ids),
    )
    return {user_id for (user_id,) in rows}


async def fresh(queries: Queries, user_ids: Collection[str]) -> list[KeptKeys]:
    """Read what is kept and up to date of some users."""
    rows = await queries.fetch(
        "SELECT user_id, master_key, self_signing_key, device_id, display_name, keys FROM remote_device_lists"
        " LEFT JOIN remote_devices USING (user_id) WHERE user_id = ANY(%b::text[]) AND NOT is_stale"
        f" AND {_SHARED.format(user_id='user_id')}",
        list(user_ids),
    )
    found: dict[str, KeptKeys] = {}
    for user_id, master_key, self_signing_key, device_id, display_name, keys in rows:
        one = found.setdefault(user_id, KeptKeys(user_id, master_key, self_signing_key, []))
        if device_id is not None:
            one.devices.append(RemoteDevice(device_id, display_name, keys))
    return list(found.values())


async def begin(queries: Queries, user_ids: Collection[str]) -> int:
    """Begin to keep the lists of those of some users who share a room with ours; returns how many are new."""
    return await queries.execute(
        "INSERT INTO remote_device_lists (user_id, is_stale)"
        " SELECT user_id, true FROM unnest(%b::text[]) AS asked (user_id)"
        f" WHERE {_SHARED.format(user_id='user_id')} ON CONFLICT (user_id) DO NOTHING",
        list(user_ids),
    )


async def lock(queries: Queries, user_id: str) -> KeptList | None:
    """Lock a user's list until the commit, if there is one."""
    row = await queries.fetch_one(
        "SELECT stream_id, is_stale, failures FROM remote_device_lists WHERE user_id = %b FOR UPDATE", user_id
    )
    return None if row is None else KeptList(*row)


async def mark_stale(queries: Queries, user_id: str) -> None:
    """Note that more has changed than is known."""
    await queries.execute(
        "UPDATE remote_device_lists SET is_stale = true, retry_ms = 0, failures = 0"
        " WHERE user_id = %b AND NOT is_stale",
        user_id,
    )


async def stale(queries: Queries, now_ms: int, *, per_server: int, limit: int) -> list[str]:
    """Name users whose lists are to be read now, of each server a few."""
    rows = await queries.fetch(
        "SELECT user_id FROM (SELECT user_id, retry_ms, row_number() OVER"
        " (PARTITION BY substr(user_id, strpos(user_id, ':')) ORDER BY retry_ms) AS place"
        " FROM (SELECT user_id, retry_ms FROM remote_device_lists WHERE is_stale AND retry_ms <= %b::bigint"
        " ORDER BY retry_ms LIMIT 10000) AS due) AS placed"
        " WHERE place <= %b::bigint ORDER BY retry_ms LIMIT %b::bigint",
        now_ms, per_server, limit,
    )  # fmt: skip
    return [user_id for (user_id,) in rows]


async def postpone(queries: Queries, user_id: str, retry_ms: int) -> None:
    """Note that a list could not be read, and when to try again."""
    await queries.execute(
        "UPDATE remote_device_lists SET retry_ms = %b::bigint, failures = failures + 1"
        " WHERE user_id = %b AND is_stale",
        retry_ms, user_id,
    )  # fmt: skip


async def replace(
    queries: Queries, stream_id: int, kept: KeptKeys, *, retry_ms: int | None = None
) -> None:
    """Set all of a user's list, which is locked, as it was read.

    Args:
        queries: the transaction.
        stream_id: of the last update that is in it.
        kept: what was read.
        retry_ms: more has changed meanwhile: when to read again; None: it is up to date.
    """
    await queries.execute(
        "UPDATE remote_device_lists SET stream_id = %b::bigint, is_stale = %b::boolean,"
        " retry_ms = %b::bigint, failures = 0, master_key = %b::bytea, self_signing_key = %b::bytea"
        " WHERE user_id = %b",
        stream_id, retry_ms is not None, retry_ms or 0, kept.master_key, kept.self_signing_key, kept.user_id,
    )  # fmt: skip
    await queries.execute("DELETE FROM remote_devices WHERE user_id = %b", kept.user_id)
    await queries.execute(
        "INSERT INTO remote_devices (user_id, device_id, display_name, keys)"
        " SELECT %b, * FROM unnest(%b::text[], %b::text[], %b::bytea[])",
        kept.user_id, [one.device_id for one in kept.devices], [one.display_name for one in kept.devices],
        [one.keys for one in kept.devices],
    )  # fmt: skip


async def set_stream_id(queries: Queries, user_id: str, stream_id: int) -> None:
    """Note the last update that is in a list, which is locked."""
    await queries.execute(
        "UPDATE remote_device_lists SET stream_id = %b::bigint WHERE user_id = %b", stream_id, user_id
    )


async def set_signing_keys(
    queries: Queries, user_id: str, master_key: bytes | None, self_signing_key: bytes | None
) -> None:
    """Set those signing keys of a user, whose list is locked, that are given."""
    await queries.execute(
        "UPDATE remote_device_lists SET master_key = coalesce(%b::bytea, master_key),"
        " self_signing_key = coalesce(%b::bytea, self_signing_key) WHERE user_id = %b",
        master_key, self_signing_key, user_id,
    )  # fmt: skip


async def find_device(queries: Queries, user_id: str, device_id: str) -> RemoteDevice | None:
    """Read a device, if it is kept."""
    row = await queries.fetch_one(
        "SELECT device_id, display_name, keys FROM remote_devices WHERE user_id = %b AND device_id = %b",
        user_id, device_id,
    )  # fmt: skip
    return None if row is None else RemoteDevice(*row)


async def device_count(queries: Queries, user_id: str) -> int:
    """Count the devices of a user."""
    row = await queries.fetch_one("SELECT count(*) FROM remote_devices WHERE user_id = %b", user_id)
    return 0 if row is None else row[0]


async def put_device(queries: Queries, user_id: str, device: RemoteDevice) -> None:
    """Set a device of a list, which is locked."""
    await queries.execute(
        "INSERT INTO remote_devices (user_id, device_id, display_name, keys)"
        " VALUES (%b, %b, %b::text, %b::bytea) ON CONFLICT (user_id, device_id)"
        " DO UPDATE SET display_name = excluded.display_name, keys = excluded.keys",
        user_id, device.device_id, device.display_name, device.keys,
    )  # fmt: skip


async def delete_device(queries: Queries, user_id: str, device_id: str) -> None:
    """Forget a device of a list, which is locked."""
    await queries.execute(
        "DELETE FROM remote_devices WHERE user_id = %b AND device_id = %b", user_id, device_id
    )


async def forget_unshared(queries: Queries, user_ids: Collection[str] | None = None) -> int:
    """Forget the lists of those of some users, or of all, who share no room with ours; returns how many."""
    share = _SHARED.format(user_id="remote_device_lists.user_id")
    if user_ids is None:
        return await queries.execute(f"DELETE FROM remote_device_lists WHERE NOT {share}")
    return await queries.execute(
        f"DELETE FROM remote_device_lists WHERE user_id = ANY(%b::text[]) AND NOT {share}", list(user_ids)
    )


async def forget_unshared_of_room(queries: Queries, room_id: str) -> int:
    """Forget the lists of members of a room that none of ours is in, who share no other; returns how many."""
    ours = await queries.fetch_one(
        "SELECT 1 FROM rooms JOIN room_counts USING (room_nid) WHERE room_id = %b AND joined_local > 0",
        room_id,
    )
    if ours is not None:
        return 0  # most rooms: their members, who may be many, are not looked at
    share = _SHARED.format(user_id="remote_device_lists.user_id")
    return await queries.execute(
        "DELETE FROM remote_device_lists USING rooms, memberships AS member, interned_users AS who"
        " WHERE rooms.room_id = %b AND member.room_nid = rooms.room_nid AND member.membership = 'join'"
        " AND NOT member.is_local AND who.nid = member.user_nid AND remote_device_lists.user_id = who.text"
        f" AND NOT {share}",
        room_id,
    )


async def own_signatures(
    queries: Queries, signer_id: str, user_ids: Collection[str]
) -> Sequence[tuple[str, str, str, str]]:
    """Read (user ID, public key, ID of the signing key, signature) of what a user signed of others' keys."""
    return await queries.fetch(
        "SELECT user_id, target, signer_key_id, signature FROM key_signatures"
        " WHERE signer_id = %b AND user_id = ANY(%b::text[])",
        signer_id, list(user_ids),
    )  # fmt: skip
