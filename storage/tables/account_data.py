"""Table family `account_data`: what users keep with their account, global or in a room."""

from collections.abc import Collection, Sequence
from typing import Any

from homeserver.core.changes import AccountDataChange
from storage.tables.queries import Queries
from storage.write import Statement, Write

__all__ = [
    "ACCOUNT_DATA_UPSERT", "add", "changes_after", "find", "of_rooms", "of_types", "of_users",
    "usage_beside",
]  # fmt: skip

ACCOUNT_DATA_UPSERT = Statement(
    name="account_data",
    rank=90,
    sql=(
        "INSERT INTO account_data (position, user_id, room_id, type, content)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::text[], %b::bytea[])"
        " ON CONFLICT (user_id, room_id, type)"
        " DO UPDATE SET position = excluded.position, content = excluded.content"
        # The last one in the order of positions wins, whoever commits last.
        " WHERE account_data.position < excluded.position"
    ),
    keys=(1, 2, 3),
)
"""Columns: position, user_id, room_id (empty: global), type, content (null: deleted)."""

_SELECT = "SELECT position, user_id, room_id, type, content FROM account_data WHERE user_id = %b"


def add(write: Write, change: AccountDataChange) -> None:
    """Add to a write that account data changes: its row, and the change that readers see."""
    write.add(
        ACCOUNT_DATA_UPSERT, change.position, change.user_id, change.room_id or "", change.type,
        change.content,
    )  # fmt: skip
    write.changes.append(change)


async def find(queries: Queries, user_id: str, room_id: str | None, type_: str) -> bytes | None:
    """The content of one type, if it is there."""
    row = await queries.fetch_one(
        "SELECT content FROM account_data WHERE user_id = %b AND room_id = %b AND type = %b",
        user_id, room_id or "", type_,
    )  # fmt: skip
    return None if row is None else row[0]


async def changes_after(queries: Queries, user_id: str, after: int) -> list[AccountDataChange]:
    """All of a user's account data that was set or deleted above a position, by position."""
    return _changes(
        await queries.fetch(f"{_SELECT} AND position > %b::bigint ORDER BY position", user_id, after)
    )


async def of_rooms(queries: Queries, user_id: str, room_ids: Collection[str]) -> list[AccountDataChange]:
    """All of a user's account data of some rooms, also what is deleted, by position."""
    return _changes(
        await queries.fetch(
            f"{_SELECT} AND room_id = ANY(%b::text[]) ORDER BY position", user_id, list(room_ids)
        )
    )


async def of_types(queries: Queries, user_id: str, types: Collection[str]) -> list[AccountDataChange]:
    """A user's global account data of some types, also what is deleted, by position."""
    return _changes(
        await queries.fetch(
            f"{_SELECT} AND room_id = '' AND type = ANY(%b::text[]) ORDER BY position", user_id, list(types)
        )
    )


async def of_users(queries: Queries, user_ids: Collection[str], type_: str) -> dict[str, bytes | None]:
    """The global account data of one type of several users: content, or None where it is deleted."""
    rows = await queries.fetch(
        "SELECT user_id, content FROM account_data"
        " WHERE user_id = ANY(%b::text[]) AND room_id = '' AND type = %b",
        list(user_ids), type_,
    )  # fmt: skip
    return dict(rows)


async def usage_beside(
    queries: Queries, user_id: str, room_id: str | None, type_: str
) -> tuple[int, int]:
    """How many entries a user has beside this one, deleted ones too, and how many bytes of content."""
    row = await queries.fetch_one(
        "SELECT count(*), coalesce(sum(octet_length(content)), 0)::bigint FROM account_data"
        " WHERE user_id = %b AND (room_id, type) <> (%b, %b)",
        user_id, room_id or "", type_,
    )  # fmt: skip
    assert row is not None, "an aggregate yields its row"
    return row[0], row[1]


def _changes(rows: Sequence[tuple[Any, ...]]) -> list[AccountDataChange]:
    return [
        AccountDataChange(position, user_id, room_id or None, type_, content)
        for position, user_id, room_id, type_, content in rows
    ]
