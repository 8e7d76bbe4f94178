"""Table family `presence`: when users were last active, who of them is here, and what they say of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries
from storage.write import Statement

__all__ = ["PRESENCE_UPSERT", "STATUS_UPSERT", "PresenceRow", "find", "of_those_here"]

PRESENCE_UPSERT = Statement(
    name="presence",
    rank=92,
    sql=(
        "INSERT INTO presence (user_id, last_active_ms, is_here) SELECT * FROM"
        " unnest(%b::text[], %b::bigint[], %b::boolean[]) ON CONFLICT (user_id) DO UPDATE SET"
        " last_active_ms = greatest(presence.last_active_ms, excluded.last_active_ms),"
        " is_here = excluded.is_here"
    ),
    keys=(0,),
)
"""Columns: user_id, milliseconds of the last activity, whether the user is here."""

STATUS_UPSERT = Statement(
    name="presence_status",
    rank=93,
    sql=(
        "INSERT INTO presence (user_id, status_msg) SELECT * FROM unnest(%b::text[], %b::text[])"
        " ON CONFLICT (user_id) DO UPDATE SET status_msg = excluded.status_msg"
    ),
    keys=(0,),
)
"""Columns: user_id, status message."""


@dataclass(frozen=True, slots=True)
class PresenceRow:
    """What is stored of one user.

    Attributes:
        user_id: whose it is.
        last_active_ms: when they last did something; 0: nobody knows.
        status_msg: what they say of themselves.
    """

    user_id: str
    last_active_ms: int
    status_msg: str | None


async def find(queries: Queries, user_id: str) -> PresenceRow:
    """Read what is stored of a user, maybe nothing."""
    row = await queries.fetch_one(
        "SELECT user_id, last_active_ms, status_msg FROM presence WHERE user_id = %b", user_id
    )
    return PresenceRow(user_id, 0, None) if row is None else PresenceRow(*row)


async def of_those_here(queries: Queries, limit: int) -> Sequence[PresenceRow]:
    """Read what is stored of the users who were here when that was last written, the latest active first."""
    rows = await queries.fetch(
        "SELECT user_id, last_active_ms, status_msg FROM presence WHERE is_here"
        " ORDER BY last_active_ms DESC LIMIT %b::bigint",
        limit,
    )
    return [PresenceRow(*row) for row in rows]
