"""Table family `thread_subscriptions`: which threads users follow, and which they unsubscribed from."""

from collections.abc import Sequence

from homeserver.core.changes import ThreadSubscriptionChange
from homeserver.core.thread_subscriptions import EventMark, ThreadSubscription
from storage.tables.queries import Queries
from storage.write import Statement, Write

__all__ = [
    "THREAD_SUBSCRIPTIONS_FORGET", "THREAD_SUBSCRIPTION_UPSERT", "add", "changes", "count", "find",
]  # fmt: skip

THREAD_SUBSCRIPTION_UPSERT = Statement(
    name="thread_subscriptions",
    rank=88,
    sql=(
        "INSERT INTO thread_subscriptions (position, unsubscribed_position, unsubscribed_depth, user_id,"
        " room_id, root_id, is_subscribed, is_automatic) SELECT * FROM unnest(%b::bigint[], %b::bigint[],"
        " %b::bigint[], %b::text[], %b::text[], %b::text[], %b::boolean[], %b::boolean[])"
        " ON CONFLICT (user_id, room_id, root_id) DO UPDATE SET position = excluded.position,"
        " unsubscribed_position = excluded.unsubscribed_position,"
        " unsubscribed_depth = excluded.unsubscribed_depth, is_subscribed = excluded.is_subscribed,"
        " is_automatic = excluded.is_automatic WHERE thread_subscriptions.position < excluded.position"
    ),
    keys=(3, 4, 5),
)
"""Columns: position, position and depth of where the user unsubscribed (null: never), user_id, room_id,
root_id, whether they are subscribed, whether automatically."""

THREAD_SUBSCRIPTIONS_FORGET = Statement(
    name="thread_subscriptions_forgotten",
    rank=89,
    sql=(
        "DELETE FROM thread_subscriptions USING unnest(%b::text[], %b::text[]) AS gone (user_id, room_id)"
        " WHERE thread_subscriptions.user_id = gone.user_id AND thread_subscriptions.room_id = gone.room_id"
    ),
    keys=(0, 1),
)
"""Columns: user_id, room_id of the room that the user forgets."""


def add(write: Write, change: ThreadSubscriptionChange, left: EventMark | None) -> None:
    """Add to a write what a user now is to a thread: the row, and the change that readers see.

    Args:
        write: to add to.
        change: what they now are.
        left: where the room's timeline ended when they unsubscribed last, if ever.
    """
    position, depth = (None, None) if left is None else (left.position, left.depth)
    write.add(
        THREAD_SUBSCRIPTION_UPSERT, change.position, position, depth, change.user_id, change.room_id,
        change.root_id, change.is_subscribed, change.is_automatic,
    )  # fmt: skip
    write.changes.append(change)


async def find(queries: Queries, user_id: str, room_id: str, root_id: str) -> ThreadSubscription | None:
    """What a user is to a thread; None: nothing, ever."""
    row = await queries.fetch_one(
        "SELECT is_subscribed, is_automatic, unsubscribed_position, unsubscribed_depth"
        " FROM thread_subscriptions WHERE user_id = %b AND room_id = %b AND root_id = %b",
        user_id, room_id, root_id,
    )  # fmt: skip
    if row is None:
        return None
    is_subscribed, is_automatic, position, depth = row
    left = None if position is None else EventMark(position, depth)
    return ThreadSubscription(is_subscribed, is_automatic, left)


async def count(queries: Queries, user_id: str) -> int:
    """How many threads a user is or was subscribed to."""
    row = await queries.fetch_one("SELECT count(*) FROM thread_subscriptions WHERE user_id = %b", user_id)
    assert row is not None, "an aggregate yields its row"
    return row[0]  # type: ignore[no-any-return]  # a count is a number


async def changes(
    queries: Queries, user_id: str, *, after: int, until: int, limit: int
) -> Sequence[ThreadSubscriptionChange]:
    """The last change of each of a user's threads with `after` < position ≤ `until`: newest first."""
    rows = await queries.fetch(
        "SELECT position, user_id, room_id, root_id, is_subscribed, is_automatic FROM thread_subscriptions"
        " WHERE user_id = %b AND position > %b::bigint AND position <= %b::bigint"
        " ORDER BY position DESC LIMIT %b::bigint",
        user_id, after, until, limit,
    )  # fmt: skip
    return [ThreadSubscriptionChange(*row) for row in rows]
