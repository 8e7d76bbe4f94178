"""Table family `delayed_events`: what is to be sent later. No sync shows it: it does not pass the journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.tables.queries import Queries

__all__ = [
    "DelayedEvent", "delay_ids", "delete_older_than", "finalise", "find", "find_repeated", "insert",
    "of_user", "restart", "waiting",
]  # fmt: skip

_COLUMNS = (
    "delay_id, user_id, device_id, room_id, type, state_key, transaction_id, content, delay_ms, since_ms,"
    " due_ms, finalised_ms, event_id, error, session_id, sticky_ms"
)


@dataclass(frozen=True, slots=True)
class DelayedEvent:
    """An event that is sent when its time has come; see the schema."""

    delay_id: str
    user_id: str
    device_id: str
    room_id: str
    type: str
    state_key: str | None
    transaction_id: str | None
    content: bytes
    delay_ms: int
    since_ms: int
    due_ms: int
    finalised_ms: int | None = None
    event_id: str | None = None
    error: bytes | None = None
    session_id: int = 0
    sticky_ms: int | None = None


async def insert(queries: Queries, new: DelayedEvent) -> str:
    """Schedule an event, once for each transaction ID; returns the ID of what is scheduled."""
    rows = await queries.fetch(
        "INSERT INTO delayed_events (delay_id, user_id, device_id, room_id, type, state_key, transaction_id,"
        " content, delay_ms, since_ms, due_ms, session_id, sticky_ms) VALUES"
        " (%b, %b, %b, %b, %b, %b, %b, %b, %b::bigint, %b::bigint, %b::bigint, %b::bigint, %b::bigint)"
        " ON CONFLICT (user_id, device_id, room_id, transaction_id)"
        " DO UPDATE SET transaction_id = excluded.transaction_id RETURNING delay_id",
        new.delay_id, new.user_id, new.device_id, new.room_id, new.type, new.state_key, new.transaction_id,
        new.content, new.delay_ms, new.since_ms, new.due_ms, new.session_id, new.sticky_ms,
    )  # fmt: skip
    delay_id: str = rows[0][0]
    return delay_id


async def find(queries: Queries, delay_id: str) -> DelayedEvent | None:
    """Find one, finished or not."""
    row = await queries.fetch_one(f"SELECT {_COLUMNS} FROM delayed_events WHERE delay_id = %b", delay_id)
    return None if row is None else DelayedEvent(*row)


async def find_repeated(
    queries: Queries, user_id: str, device_id: str, room_id: str, transaction_id: str
) -> str | None:
    """Tell the delay ID of what a device scheduled with a transaction ID, if it did."""
    row = await queries.fetch_one(
        "SELECT delay_id FROM delayed_events WHERE user_id = %b AND device_id = %b AND room_id = %b"
        " AND transaction_id = %b",
        user_id, device_id, room_id, transaction_id,
    )  # fmt: skip
    return None if row is None else row[0]


async def delay_ids(queries: Queries, session_id: int, event_ids: Sequence[str]) -> dict[str, str]:
    """Tell which of some events a session scheduled: event ID to delay ID."""
    rows = await queries.fetch(
        "SELECT event_id, delay_id FROM delayed_events WHERE session_id = %b::bigint"
        " AND event_id = ANY(%b::text[]) AND event_id IS NOT NULL",
        session_id, list(event_ids),
    )  # fmt: skip
    return dict(rows)


async def of_user(queries: Queries, user_id: str) -> list[DelayedEvent]:
    """Read what of a user's waits, in the order in which it is due."""
    return _all(
        await queries.fetch(
            f"SELECT {_COLUMNS} FROM delayed_events WHERE user_id = %b AND finalised_ms IS NULL"
            " ORDER BY due_ms",
            user_id,
        )
    )


async def waiting(queries: Queries) -> list[DelayedEvent]:
    """Read all that waits, in the order in which it is due."""
    return _all(
        await queries.fetch(
            f"SELECT {_COLUMNS} FROM delayed_events WHERE finalised_ms IS NULL ORDER BY due_ms"
        )
    )


async def restart(queries: Queries, delay_id: str, now_ms: int) -> int | None:
    """Let the delay begin anew; returns when it is due then; None if it does not wait any more."""
    row = await queries.fetch_one(
        "UPDATE delayed_events SET since_ms = %b::bigint, due_ms = %b::bigint + delay_ms"
        " WHERE delay_id = %b AND finalised_ms IS NULL RETURNING due_ms",
        now_ms, now_ms, delay_id,
    )  # fmt: skip
    return None if row is None else row[0]


async def finalise(
    queries: Queries, delay_id: str, now_ms: int, *, event_id: str | None = None, error: bytes | None = None
) -> bool:
    """Finish one: sent, failed or, with neither, cancelled; false if it was finished already."""
    count = await queries.execute(
        "UPDATE delayed_events SET finalised_ms = %b::bigint, event_id = %b::text, error = %b::bytea"
        " WHERE delay_id = %b AND finalised_ms IS NULL",
        now_ms, event_id, error, delay_id,
    )  # fmt: skip
    return count == 1


async def delete_older_than(queries: Queries, finalised_before_ms: int) -> int:
    """Forget what was finished long ago; returns how many."""
    return await queries.execute(
        "DELETE FROM delayed_events WHERE finalised_ms < %b::bigint", finalised_before_ms
    )


def _all(rows: Sequence[tuple[Any, ...]]) -> list[DelayedEvent]:
    return [DelayedEvent(*row) for row in rows]
