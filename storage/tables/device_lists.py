"""Table families `device_list_changes` and `device_list_outbox`: whose devices changed, and who is told.

And the reads by which someone who comes back learns whose devices to ask for, and whose no more.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from homeserver.core.changes import DeviceListChange
from homeserver.core.positions import EPOCH_MS, SEQUENCE_MAX, ms_of, sequence_of
from storage.tables.queries import Queries
from storage.write import Statement, Write

__all__ = [
    "DEVICE_LIST_UPSERT", "OUTBOX_DELETE", "Moved", "Noted", "add", "changed_after", "moved_after",
    "newly_shared", "no_longer_shared", "note", "note_devices", "pending", "rooms_in_common", "sharing",
    "sharing_with_server", "stream_id", "stream_id_of",
]  # fmt: skip

DEVICE_LIST_UPSERT = Statement(
    name="device_lists",
    rank=97,
    sql=(
        "INSERT INTO device_list_changes (position, user_id, told_to)"
        " SELECT * FROM unnest(%b::bigint[], %b::text[], %b::text[]) ON CONFLICT (user_id, told_to)"
        " DO UPDATE SET position = excluded.position WHERE device_list_changes.position < excluded.position"
    ),
    keys=(1, 2),
)
"""Columns: position, user_id, told_to (empty: all who share a room)."""

OUTBOX_DELETE = Statement(
    name="device_list_outbox",
    rank=98,
    sql=(
        "DELETE FROM device_list_outbox USING unnest(%b::bigint[]) AS told (number)"
        " WHERE device_list_outbox.number = told.number"
    ),
)
"""Columns: number."""

_SHARE = (
    "SELECT 1 FROM memberships AS mine JOIN memberships AS others ON others.room_nid = mine.room_nid"
    " WHERE mine.user_nid = %b::bigint AND mine.membership = 'join'"
    " AND others.user_nid = {theirs} AND others.membership = 'join'"
)
_KNOWN = (
    # Of our own users those are left out who never had any key.
    "(NOT theirs.is_local OR EXISTS"
    " (SELECT 1 FROM device_list_changes WHERE device_list_changes.user_id = interned_users.text))"
)
_OF_OLD = " AND mine.position <= %b::bigint AND others.position <= %b::bigint"
POSITION_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Noted:
    """A change that is committed and on its way into the stream.

    Attributes:
        number: of the row in the outbox.
        user_id: whose devices or keys changed.
        told_to: only this user is told; None: all who share a room.
    """

    number: int
    user_id: str
    told_to: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """A member of a room whose member event changed, with the membership as it is now."""

    room_id: str
    user_id: str
    membership: str


def add(write: Write, change: DeviceListChange, noted: Noted) -> None:
    """Add to a write a change that was noted: its row, and the change that readers see."""
    write.add(DEVICE_LIST_UPSERT, change.position, change.user_id, change.told_to or "")
    write.add(OUTBOX_DELETE, noted.number)
    write.changes.append(change)


async def note(queries: Queries, changes: Collection[tuple[str, str | None]]) -> list[Noted]:
    """Note in a transaction what changes with it: (user ID, who is told or None)."""
    rows = await queries.fetch(
        "INSERT INTO device_list_outbox (user_id, told_to) SELECT * FROM unnest(%b::text[], %b::text[])"
        " RETURNING number, user_id, told_to",
        [user_id for user_id, _ in changes], [told_to or "" for _, told_to in changes],
    )  # fmt: skip
    return _noted(rows)


async def note_devices(queries: Queries, user_id: str, device_ids: Collection[str]) -> list[Noted]:
    """Note that devices are about to be deleted, or were renamed, if one of them has keys."""
    rows = await queries.fetch(
        "INSERT INTO device_list_outbox (user_id, told_to) SELECT %b, '' WHERE EXISTS"
        " (SELECT 1 FROM device_keys WHERE user_id = %b AND device_id = ANY(%b::text[]))"
        " RETURNING number, user_id, told_to",
        user_id, user_id, list(device_ids),
    )  # fmt: skip
    return _noted(rows)


async def pending(queries: Queries, *, until: int, limit: int) -> list[Noted]:
    """Read what is still noted, up to a number, oldest first."""
    rows = await queries.fetch(
        "SELECT number, user_id, told_to FROM device_list_outbox WHERE number <= %b::bigint"
        " ORDER BY number LIMIT %b::bigint",
        until, limit,
    )  # fmt: skip
    return _noted(rows)


def _noted(rows: Sequence[tuple[int, str, str]]) -> list[Noted]:
    return [Noted(number, user_id, told_to or None) for number, user_id, told_to in rows]


async def changed_after(queries: Queries, user_id: str, user_nid: int, after: int) -> list[tuple[str, int]]:
    """Read (user ID, position) of the changes above a position that a user is told."""
    share = _SHARE.format(theirs="(SELECT nid FROM interned_users WHERE text = change.user_id)")
    return await queries.fetch(
        "SELECT user_id, position FROM device_list_changes AS change WHERE position > %b::bigint"
        f" AND (told_to = %b OR (told_to = '' AND (user_id = %b OR EXISTS ({share}))))",
        after, user_id, user_id, user_nid,
    )  # fmt: skip


async def moved_after(queries: Queries, user_nid: int, after: int) -> list[Moved]:
    """Read whose member event changed above a position, also the user's own, in rooms of the user."""
    rows = await queries.fetch(
        "SELECT room_id, interned_state_keys.text, coalesce(theirs.membership, 'leave')"
        " FROM memberships AS mine CROSS JOIN LATERAL (SELECT DISTINCT state_key_nid FROM state_changes"
        " WHERE state_changes.room_nid = mine.room_nid AND position > %b::bigint"
        " AND type_nid = (SELECT nid FROM interned_types WHERE text = 'm.room.member')) AS moved"
        " JOIN interned_state_keys ON interned_state_keys.nid = moved.state_key_nid"
        " JOIN rooms ON rooms.room_nid = mine.room_nid"
        " LEFT JOIN interned_users ON interned_users.text = interned_state_keys.text"
        " LEFT JOIN memberships AS theirs"
        " ON theirs.room_nid = mine.room_nid AND theirs.user_nid = interned_users.nid"
        " WHERE mine.user_nid = %b::bigint AND (mine.membership = 'join' OR mine.position > %b::bigint)",
        after, user_nid, after,
    )  # fmt: skip
    return [Moved(*row) for row in rows]


async def newly_shared(queries: Queries, user_nid: int, room_ids: Collection[str], after: int) -> list[str]:
    """Name those who are in rooms that a user has come into, and shared none up to a position."""
    share = _SHARE.format(theirs="theirs.user_nid")
    rows = await queries.fetch(
        "SELECT DISTINCT interned_users.text FROM rooms JOIN memberships AS theirs USING (room_nid)"
        " JOIN interned_users ON interned_users.nid = theirs.user_nid"
        " WHERE room_id = ANY(%b::text[]) AND theirs.membership = 'join' AND theirs.user_nid <> %b::bigint"
        f" AND {_KNOWN} AND NOT EXISTS ({share}{_OF_OLD})",
        list(room_ids), user_nid, user_nid, after, after,
    )  # fmt: skip
    return [text for (text,) in rows]


async def no_longer_shared(
    queries: Queries, user_nid: int, joined: Collection[str], left: Collection[str], after: int
) -> list[tuple[str, str, bool]]:
    """Read who shares no room with a user, and is in one that the user left, or was moved since.

    As (room ID, user ID, whether they are there since the position).

    Args:
        queries: where.
        user_nid: the user.
        joined: rooms that the user is in.
        left: rooms that the user is not in.
        after: a position: who was moved above it in any of these rooms counts.
    """
    share = _SHARE.format(theirs="theirs.user_nid")
    rows = await queries.fetch(
        "SELECT room_id, interned_users.text, theirs.position <= %b::bigint"
        " FROM rooms JOIN memberships AS theirs USING (room_nid)"
        " JOIN interned_users ON interned_users.nid = theirs.user_nid"
        " WHERE room_id = ANY(%b::text[]) AND theirs.user_nid <> %b::bigint"
        " AND (theirs.position > %b::bigint OR theirs.membership = 'join' AND room_id = ANY(%b::text[]))"
        f" AND {_KNOWN} AND NOT EXISTS ({share})",
        after, [*joined, *left], user_nid, after, list(left), user_nid,
    )  # fmt: skip
    return [(room_id, text, has_stayed) for room_id, text, has_stayed in rows]


async def rooms_in_common(
    queries: Queries, user_nid: int, user_ids: Collection[str], position: int
) -> list[tuple[str, str, bool]]:
    """Read where a user and some others are, or were moved above a position, by room and other.

    The third is whether the other is in the room since that position.
    """
    rows = await queries.fetch(
        "SELECT room_id, interned_users.text, others.position <= %b::bigint FROM interned_users"
        " JOIN memberships AS others ON others.user_nid = interned_users.nid"
        " JOIN memberships AS mine ON mine.room_nid = others.room_nid AND mine.user_nid = %b::bigint"
        " JOIN rooms ON rooms.room_nid = others.room_nid WHERE text = ANY(%b::text[])"
        " AND (others.membership = 'join' OR others.position > %b::bigint)"
        " AND (mine.membership = 'join' OR mine.position > %b::bigint)",
        position, user_nid, list(user_ids), position, position,
    )  # fmt: skip
    return [(room_id, text, has_stayed) for room_id, text, has_stayed in rows]


async def sharing(
    queries: Queries, user_nid: int, user_ids: Collection[str], until: int = POSITION_MAX
) -> set[str]:
    """Name those of some users who share a room with a user, and have since a position."""
    share = _SHARE.format(theirs="interned_users.nid")
    rows = await queries.fetch(
        f"SELECT text FROM interned_users WHERE text = ANY(%b::text[]) AND EXISTS ({share}{_OF_OLD})",
        list(user_ids), user_nid, until, until,
    )  # fmt: skip
    return {text for (text,) in rows}


async def sharing_with_server(queries: Queries, server_name: str, user_ids: Collection[str]) -> set[str]:
    """Name those of some users who share a room with a user of a server."""
    rows = await queries.fetch(
        "SELECT text FROM interned_users WHERE text = ANY(%b::text[]) AND EXISTS (SELECT 1"
        " FROM memberships AS mine JOIN memberships AS others ON others.room_nid = mine.room_nid"
        " JOIN interned_users AS who ON who.nid = others.user_nid"
        " WHERE mine.user_nid = interned_users.nid AND mine.membership = 'join'"
        " AND others.membership = 'join' AND substr(who.text, strpos(who.text, ':') + 1) = %b)",
        list(user_ids), server_name,
    )  # fmt: skip
    return {text for (text,) in rows}


def stream_id_of(position: int) -> int:
    """Tell by which number other servers know a change of a device list.

    The position without its writer, twice: an even number that JSON can hold exactly until 2058, so that one
    less is the number of no change. The changes of one user are made one after the other.
    """
    return 2 * ((ms_of(position) - EPOCH_MS) * (SEQUENCE_MAX + 1) + sequence_of(position))


async def stream_id(queries: Queries, user_id: str) -> int:
    """Read the number of the last change of a user's list; 0 if there never was one."""
    row = await queries.fetch_one(
        "SELECT position FROM device_list_changes WHERE user_id = %b AND told_to = ''", user_id
    )
    return 0 if row is None else stream_id_of(row[0])
