"""Who is in which room: the memberships, by room and by user."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.pool import Database
from storage.write import Statement

__all__ = ["FORGET", "MEMBERSHIP_UPSERT", "MembershipRow", "Memberships"]

MEMBERSHIP_UPSERT = Statement(
    name="memberships",
    rank=60,
    sql=(
        "INSERT INTO memberships"
        " (room_nid, user_nid, membership, event_id, position, is_forgotten, is_local)"
        " SELECT * FROM unnest(%b::bigint[], %b::bigint[], %b::text[], %b::text[], %b::bigint[],"
        " %b::boolean[], %b::boolean[]) ON CONFLICT (room_nid, user_nid) DO UPDATE SET"
        " membership = excluded.membership, event_id = excluded.event_id, position = excluded.position,"
        " is_forgotten = excluded.is_forgotten"
        " OR memberships.is_forgotten AND excluded.membership IN ('ban', 'leave'),"
        " is_local = excluded.is_local"
    ),
    keys=(0, 1),
)
"""Columns: room_nid, user_nid, membership, event_id, position, is_forgotten, is_local.

Who is banned from a room that they have forgotten, or let in again, has forgotten it still.
"""

FORGET = Statement(
    name="forgotten",
    rank=61,
    sql=(
        "UPDATE memberships SET is_forgotten = true"
        " FROM unnest(%b::bigint[], %b::bigint[]) AS gone (room_nid, user_nid)"
        " WHERE memberships.room_nid = gone.room_nid AND memberships.user_nid = gone.user_nid"
        " AND membership NOT IN ('join', 'invite')"
    ),
    keys=(0, 1),
)
"""Columns: room_nid, user_nid. Who is in the room by then has not forgotten it."""

_SELECT = (
    "SELECT memberships.room_nid, rooms.room_id, rooms.version, memberships.user_nid, interned_users.text,"
    " membership, event_id, position, is_forgotten, is_local FROM memberships"
    " JOIN rooms ON rooms.room_nid = memberships.room_nid"
    " JOIN interned_users ON interned_users.nid = memberships.user_nid"
)


@dataclass(frozen=True, slots=True)
class MembershipRow:
    """A user's membership of a room.

    Attributes:
        room_nid: number of the room.
        room_id: its ID.
        version: its version.
        user_nid: number of the user.
        user_id: their ID.
        membership: `join`, `invite`, `leave`, `ban` or `knock`.
        event_id: of the member event.
        position: of the member event.
        is_forgotten: whether the user forgot the room after leaving.
        is_local: whether the user is one of ours.
    """

    room_nid: int
    room_id: str
    version: str
    user_nid: int
    user_id: str
    membership: str
    event_id: str
    position: int
    is_forgotten: bool
    is_local: bool


class Memberships:
    """Reads memberships.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_user(self, user_nid: int, memberships: Sequence[str] | None = None) -> list[MembershipRow]:
        """Read a user's memberships, forgotten rooms included; only `memberships`, if given."""
        condition = "" if memberships is None else " AND membership = ANY(%b::text[])"
        parameters = () if memberships is None else (list(memberships),)
        rows = await self._database.fetch(
            f"{_SELECT} WHERE user_nid = %b::bigint{condition} ORDER BY memberships.room_nid",
            user_nid, *parameters,
        )  # fmt: skip
        return [MembershipRow(*row) for row in rows]

    async def of_room(
        self, room_nid: int, memberships: Sequence[str] | None = None, *, is_local: bool | None = None
    ) -> list[MembershipRow]:
        """Read a room's memberships by position; only `memberships`, and only local or remote, if given."""
        condition = ""
        parameters: list[object] = []
        if memberships is not None:
            condition += " AND membership = ANY(%b::text[])"
            parameters.append(list(memberships))
        if is_local is not None:
            condition += " AND is_local = %b::boolean"
            parameters.append(is_local)
        rows = await self._database.fetch(
            f"{_SELECT} WHERE memberships.room_nid = %b::bigint{condition} ORDER BY position",
            room_nid, *parameters,
        )  # fmt: skip
        return [MembershipRow(*row) for row in rows]

    async def bare_of_rooms(
        self, room_nids: Sequence[int], *, limit: int
    ) -> list[list[tuple[str, str, int]]]:
        """Read (user ID, membership, position) of each of several rooms by position.

        Of any members, if there are more than `limit`.
        """
        rows = await self._database.fetch(
            "SELECT number, array_agg(text), array_agg(membership), array_agg(position) FROM"
            " (SELECT number, text, membership, position FROM (SELECT asked.number, member.* FROM"
            " unnest(%b::bigint[]) WITH ORDINALITY AS asked (room_nid, number) CROSS JOIN LATERAL"
            " (SELECT user_nid, membership, position FROM memberships"
            " WHERE memberships.room_nid = asked.room_nid LIMIT %b::bigint) AS member OFFSET 0) AS found"
            " JOIN interned_users ON nid = user_nid ORDER BY number, position) AS found GROUP BY number",
            list(room_nids), limit,
        )  # fmt: skip
        found: list[list[tuple[str, str, int]]] = [[] for _ in room_nids]
        for number, user_ids, memberships, positions in rows:
            found[number - 1] = list(zip(user_ids, memberships, positions, strict=True))
        return found

    async def counts(self, room_nid: int) -> tuple[int, int]:
        """Tell how many users have joined a room, and how many are invited, without counting the joined."""
        row = await self._database.fetch_one(
            "SELECT coalesce((SELECT joined FROM room_counts WHERE room_nid = %b::bigint), 0),"
            " (SELECT count(*) FROM memberships WHERE room_nid = %b::bigint AND membership = 'invite')",
            room_nid, room_nid,
        )  # fmt: skip
        return (0, 0) if row is None else (row[0], row[1])

    async def some_of_room(self, room_nid: int, *, limit: int) -> list[str]:
        """Name some users who are in a room or invited; where only one is left, of those who went as well."""
        present = await self._some(room_nid, "IN", limit)
        return present if len(present) > 1 else present + await self._some(room_nid, "NOT IN", limit)

    async def _some(self, room_nid: int, condition: str, limit: int) -> list[str]:
        # Few are read, in the order of the primary key, unless nearly all are of the other sort.
        rows = await self._database.fetch(
            "SELECT text FROM memberships JOIN interned_users ON nid = user_nid WHERE room_nid = %b::bigint"
            f" AND membership {condition} ('join', 'invite') ORDER BY user_nid LIMIT %b::bigint",
            room_nid, limit,
        )  # fmt: skip
        return [text for (text,) in rows]

    async def one(self, room_nid: int, user_nid: int) -> MembershipRow | None:
        """Read one user's membership of one room."""
        row = await self._database.fetch_one(
            f"{_SELECT} WHERE memberships.room_nid = %b::bigint AND user_nid = %b::bigint", room_nid, user_nid
        )
        return MembershipRow(*row) if row is not None else None

    async def is_joined_to_any(self, user_nid: int, room_ids: Sequence[str]) -> bool:
        """Tell whether a user is in one of several rooms."""
        row = await self._database.fetch_one(
            "SELECT 1 FROM rooms JOIN memberships ON memberships.room_nid = rooms.room_nid WHERE"
            " rooms.room_id = ANY(%b::text[]) AND user_nid = %b::bigint AND membership = 'join' LIMIT 1",
            list(room_ids), user_nid,
        )  # fmt: skip
        return row is not None

    async def local_joined(
        self, room_nid: int, *, limit: int, user_ids: Sequence[str] | None = None,
        not_user_ids: Sequence[str] = (),
    ) -> list[str]:  # fmt: skip
        """Name some of our users who are in a room, those known longest first.

        Args:
            room_nid: the room.
            limit: at most so many.
            user_ids: only of these.
            not_user_ids: none of these.
        """
        condition, parameters = "", []
        if user_ids is not None:
            condition += " AND text = ANY(%b::text[])"
            parameters.append(list(user_ids))
        if not_user_ids:
            condition += " AND text <> ALL(%b::text[])"
            parameters.append(list(not_user_ids))
        rows = await self._database.fetch(
            "SELECT text FROM memberships JOIN interned_users ON nid = user_nid WHERE room_nid = %b::bigint"
            f" AND is_local AND membership = 'join'{condition} ORDER BY user_nid LIMIT %b::bigint",
            room_nid, *parameters, limit,
        )  # fmt: skip
        return [text for (text,) in rows]

    async def joined_with_state(self, user_nid: int, type_: str, state_key: str, *, limit: int) -> list[str]:
        """Name the rooms that a user is in whose state has, or had, something for a type and state key."""
        rows = await self._database.fetch(
            "SELECT room_id FROM memberships"
            " JOIN rooms ON rooms.room_nid = memberships.room_nid"
            " JOIN current_state ON current_state.room_nid = memberships.room_nid"
            " AND type_nid = (SELECT nid FROM interned_types WHERE text = %b)"
            " AND state_key_nid = (SELECT nid FROM interned_state_keys WHERE text = %b)"
            " WHERE user_nid = %b::bigint AND membership = 'join'"
            " ORDER BY memberships.room_nid LIMIT %b::bigint",
            type_, state_key, user_nid, limit,
        )  # fmt: skip
        return [room_id for (room_id,) in rows]
