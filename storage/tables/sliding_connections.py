"""Table family `sliding_connections`: connections of sliding sync, so that they go on after a restart."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["ConnectionKey", "ConnectionRow", "delete", "delete_older", "read", "save", "trim"]

ConnectionKey = tuple[int, str | None]
"""A session, and what it calls the connection."""

_NAMED = b"\x01"

# What is locked goes with its session just now, or has just been saved: nobody waits for it, so no two wait
# for each other.
_DELETE = (
    "DELETE FROM sliding_connections WHERE (session_id, conn_id) IN"
    " (SELECT kept.session_id, kept.conn_id FROM sliding_connections AS kept"
)
_UNLOCKED = "FOR UPDATE OF kept SKIP LOCKED)"


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection as it is kept.

    Attributes:
        session_id: whose it is.
        conn_id: what its session calls it, if anything.
        positions: the names of its newest place and of the one before, which is the same if there is none.
        snapshot: what the places are.
    """

    session_id: int
    conn_id: str | None
    positions: tuple[str, str]
    snapshot: bytes


async def read(queries: Queries, key: ConnectionKey, position: str) -> bytes | None:
    """The snapshot of a connection, if it has a place of that name."""
    row = await queries.fetch_one(
        "SELECT snapshot FROM sliding_connections WHERE session_id = %b::bigint AND conn_id = %b"
        " AND positions @> ARRAY[%b::text]",
        key[0], _name(key[1]), position,
    )  # fmt: skip
    return None if row is None else row[0]


async def save(queries: Queries, rows: Sequence[ConnectionRow], now_ms: int) -> int:
    """Keep connections, instead of what was kept of them; returns how many. Those of ended sessions are not.

    Args:
        queries: to write with.
        rows: at most one for each connection.
        now_ms: wall time.
    """
    if not rows:
        return 0
    return await queries.execute(
        "INSERT INTO sliding_connections (session_id, conn_id, positions, snapshot, saved_ms)"
        " SELECT row.session_id, row.conn_id, ARRAY[row.newest, row.earlier], row.snapshot, %b::bigint"
        " FROM unnest(%b::bigint[], %b::bytea[], %b::text[], %b::text[], %b::bytea[])"
        " AS row (session_id, conn_id, newest, earlier, snapshot)"
        " JOIN device_sessions AS session ON session.session_id = row.session_id"
        " FOR KEY SHARE OF session SKIP LOCKED"
        " ON CONFLICT (session_id, conn_id) DO UPDATE SET positions = excluded.positions,"
        " snapshot = excluded.snapshot, saved_ms = excluded.saved_ms",
        now_ms, [row.session_id for row in rows], [_name(row.conn_id) for row in rows],
        [row.positions[0] for row in rows], [row.positions[1] for row in rows],
        [row.snapshot for row in rows],
    )  # fmt: skip


async def delete(queries: Queries, keys: Sequence[ConnectionKey]) -> int:
    """Forget connections; returns how many were kept."""
    if not keys:
        return 0
    return await queries.execute(
        f"{_DELETE} JOIN unnest(%b::bigint[], %b::bytea[]) AS gone (session_id, conn_id)"
        f" USING (session_id, conn_id) {_UNLOCKED}",
        [session_id for session_id, _ in keys], [_name(conn_id) for _, conn_id in keys],
    )  # fmt: skip


async def trim(queries: Queries, session_ids: Collection[int], kept_max: int) -> int:
    """Of some sessions, forget all connections but those saved last; returns how many went."""
    if not session_ids:
        return 0
    return await queries.execute(
        f"{_DELETE} JOIN (SELECT session_id, conn_id, row_number() OVER"
        " (PARTITION BY session_id ORDER BY saved_ms DESC, conn_id) AS number FROM sliding_connections"
        " WHERE session_id = ANY(%b::bigint[])) AS counted USING (session_id, conn_id)"
        f" WHERE counted.number > %b::bigint {_UNLOCKED}",
        list(session_ids), kept_max,
    )  # fmt: skip


async def delete_older(queries: Queries, saved_before_ms: int) -> int:
    """Forget connections that were not saved since; returns how many."""
    return await queries.execute(f"{_DELETE} WHERE kept.saved_ms < %b::bigint {_UNLOCKED}", saved_before_ms)


def _name(conn_id: str | None) -> bytes:
    return b"" if conn_id is None else _NAMED + conn_id.encode()
