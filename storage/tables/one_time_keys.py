"""Table families `one_time_keys` and `fallback_keys`: keys that others claim."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["ClaimedKey", "KeyCounts", "add", "claim", "clashes", "count", "counts", "set_fallback"]

Named = Mapping[tuple[str, str], bytes]
"""Keys in canonical JSON, by algorithm and key ID."""

_OF_DEVICE = "WHERE user_id = %b AND device_id = %b"

_CLAIM = (
    "WITH asked AS MATERIALIZED (SELECT * FROM unnest(%b::text[], %b::text[], %b::text[])"
    " AS asked (user_id, device_id, algorithm)),"
    # Whoever claims at the same time passes over what this one has taken, and takes the next.
    " picked AS MATERIALIZED (SELECT one.* FROM asked CROSS JOIN LATERAL ("
    "SELECT user_id, device_id, algorithm, key_id FROM one_time_keys AS stored"
    " WHERE stored.user_id = asked.user_id AND stored.device_id = asked.device_id"
    " AND stored.algorithm = asked.algorithm ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED) AS one),"
    " taken AS (DELETE FROM one_time_keys AS stored USING picked"
    " WHERE stored.user_id = picked.user_id AND stored.device_id = picked.device_id"
    " AND stored.algorithm = picked.algorithm AND stored.key_id = picked.key_id"
    " RETURNING stored.user_id, stored.device_id, stored.algorithm, stored.key_id, stored.key),"
    # In one order, so that two claims never wait for each other.
    " fallen_back AS MATERIALIZED (SELECT stored.* FROM fallback_keys AS stored JOIN asked"
    " USING (user_id, device_id, algorithm) WHERE NOT EXISTS (SELECT 1 FROM taken"
    " WHERE taken.user_id = asked.user_id AND taken.device_id = asked.device_id)"
    " ORDER BY stored.user_id, stored.device_id, stored.algorithm FOR NO KEY UPDATE OF stored),"
    " used AS (UPDATE fallback_keys AS stored SET is_used = true FROM fallen_back"
    " WHERE NOT fallen_back.is_used AND stored.user_id = fallen_back.user_id"
    " AND stored.device_id = fallen_back.device_id AND stored.algorithm = fallen_back.algorithm)"
    " SELECT user_id, device_id, algorithm, key_id, key, true FROM taken UNION ALL"
    " SELECT user_id, device_id, algorithm, key_id, key, NOT is_used FROM fallen_back"
)


@dataclass(frozen=True, slots=True)
class KeyCounts:
    """What a device has left.

    Attributes:
        one_time: how many one-time keys, by algorithm.
        unused_fallback: the algorithms of fallback keys that nobody was given yet.
    """

    one_time: Mapping[str, int]
    unused_fallback: Sequence[str]


@dataclass(frozen=True, slots=True)
class ClaimedKey:
    """A key that was handed out.

    Attributes:
        key: canonical JSON.
        is_news: the counts of the device changed by it.
    """

    user_id: str
    device_id: str
    algorithm: str
    key_id: str
    key: bytes
    is_news: bool


async def clashes(
    queries: Queries, user_id: str, device_id: str, keys: Named
) -> dict[tuple[str, str], bytes]:
    """Read those one-time keys of a device that have the same algorithm and ID as one of `keys`."""
    rows = await queries.fetch(
        "SELECT algorithm, key_id, key FROM one_time_keys JOIN unnest(%b::text[], %b::text[])"
        f" AS offered (algorithm, key_id) USING (algorithm, key_id) {_OF_DEVICE}",
        [algorithm for algorithm, _ in keys], [key_id for _, key_id in keys], user_id, device_id,
    )  # fmt: skip
    return {(algorithm, key_id): key for algorithm, key_id, key in rows}


async def count(queries: Queries, user_id: str, device_id: str) -> int:
    """Count the one-time keys of a device."""
    row = await queries.fetch_one(f"SELECT count(*) FROM one_time_keys {_OF_DEVICE}", user_id, device_id)
    return 0 if row is None else row[0]


async def add(queries: Queries, user_id: str, device_id: str, keys: Named) -> None:
    """Add one-time keys to a device that this transaction has locked; none of them is there yet."""
    await queries.execute(
        "INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, key)"
        " SELECT %b, %b, * FROM unnest(%b::text[], %b::text[], %b::bytea[])",
        user_id, device_id, [algorithm for algorithm, _ in keys], [key_id for _, key_id in keys],
        list(keys.values()),
    )  # fmt: skip


async def set_fallback(queries: Queries, user_id: str, device_id: str, keys: Named) -> None:
    """Set fallback keys, at most one for each algorithm. One that is there already stays as used as it is."""
    await queries.execute(
        "INSERT INTO fallback_keys AS stored (user_id, device_id, algorithm, key_id, key)"
        " SELECT %b, %b, * FROM unnest(%b::text[], %b::text[], %b::bytea[])"
        " ON CONFLICT (user_id, device_id, algorithm)"
        " DO UPDATE SET key_id = excluded.key_id, key = excluded.key, is_used = false"
        " WHERE stored.key_id <> excluded.key_id OR stored.key <> excluded.key",
        user_id, device_id, [algorithm for algorithm, _ in keys], [key_id for _, key_id in keys],
        list(keys.values()),
    )  # fmt: skip


async def counts(queries: Queries, user_id: str, device_id: str) -> KeyCounts:
    """Read what a device has left."""
    rows = await queries.fetch(
        f"SELECT algorithm, count(*) FROM one_time_keys {_OF_DEVICE} GROUP BY algorithm"
        f" UNION ALL SELECT algorithm, 0 FROM fallback_keys {_OF_DEVICE} AND NOT is_used ORDER BY 1",
        user_id, device_id, user_id, device_id,
    )  # fmt: skip
    return KeyCounts(
        {algorithm: number for algorithm, number in rows if number},
        [algorithm for algorithm, number in rows if not number],
    )


async def claim(queries: Queries, asked: Sequence[tuple[str, str, str]]) -> list[ClaimedKey]:
    """Take one key for each (user ID, device ID, algorithm), at most one a device, in one statement.

    A one-time key is gone with it, whoever else claims at the same time: no two get the same one. Where none
    is left, the fallback key is given, if there is one, and marked as used.
    """
    rows = await queries.fetch(
        _CLAIM,
        [user_id for user_id, _, _ in asked],
        [device_id for _, device_id, _ in asked],
        [algorithm for _, _, algorithm in asked],
    )
    return [ClaimedKey(*row) for row in rows]
