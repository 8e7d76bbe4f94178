"""Rooms, and the tips of their event graphs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from homeserver.core.room_versions import RoomVersionRules, rules_for
from storage.cache import LruCache
from storage.pool import Database
from storage.write import Statement, Write

__all__ = ["ROOM_INSERT", "ROOM_TIP_UPSERT", "RoomRow", "RoomTip", "Rooms", "add_room_tip"]

_CACHE_ENTRIES_MAX = 50_000
_NIDS_RESERVED = 16

ROOM_INSERT = Statement(
    name="rooms",
    rank=10,
    sql=(
        "INSERT INTO rooms (room_nid, room_id, version, creator_nid, created_ms, is_public) SELECT *"
        " FROM unnest(%b::bigint[], %b::text[], %b::text[], %b::bigint[], %b::bigint[], %b::boolean[])"
    ),
)
"""Columns: room_nid, room_id, version, creator_nid, created_ms, is_public."""

ROOM_TIP_UPSERT = Statement(
    name="room_tips",
    rank=40,
    sql=(
        "INSERT INTO room_tips (room_nid, extremities, depth, last_position, state_group)"
        " SELECT room_nid, extremities::text[], depth, last_position, state_group"
        " FROM unnest(%b::bigint[], %b::text[], %b::bigint[], %b::bigint[], %b::bigint[])"
        " AS new (room_nid, extremities, depth, last_position, state_group)"
        " ON CONFLICT (room_nid) DO UPDATE SET extremities = excluded.extremities, depth = excluded.depth,"
        " last_position = excluded.last_position, state_group = excluded.state_group"
    ),
    keys=(0,),
)
"""Columns: room_nid, forward extremities (as an array literal), depth, last_position, state_group. See
`add_room_tip`."""

_COLUMNS = "room_nid, room_id, version, creator_nid, created_ms, is_public"


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room.

    Attributes:
        room_nid: its number.
        room_id: its ID.
        version: room version.
        creator_nid: number of the user who created it.
        created_ms: when.
        is_public: whether the room directory lists it; as of when it was read.
    """

    room_nid: int
    room_id: str
    version: str
    creator_nid: int
    created_ms: int
    is_public: bool

    @property
    def rules(self) -> RoomVersionRules:
        """The rules of its version."""
        rules = rules_for(self.version)
        assert rules is not None, f"room version {self.version} was known when the room was stored"
        return rules


@dataclass(frozen=True, slots=True)
class RoomTip:
    """Where a room's graph ends.

    Attributes:
        extremities: IDs of the forward extremities.
        depth: the greatest depth among them.
        last_position: of the room's last event.
        state_group: the current state.
        retention_class: of the room's message events.
    """

    extremities: tuple[str, ...]
    depth: int
    last_position: int
    state_group: int
    retention_class: int = 0


def add_room_tip(
    write: Write, room_nid: int, *, extremities: Sequence[str], depth: int, last_position: int,
    state_group: int,
) -> None:  # fmt: skip
    """Add to a write where the room's graph ends after it."""
    assert extremities, "a graph has an end"
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in extremities]
    literal = '{"' + '","'.join(quoted) + '"}'
    write.rows.append((ROOM_TIP_UPSERT, (room_nid, literal, depth, last_position, state_group)))


class Rooms:
    """Reads rooms; those found are remembered.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_id: LruCache[str, RoomRow] = LruCache(_CACHE_ENTRIES_MAX)
        self._reserved: list[int] = []

    async def new_room_nid(self) -> int:
        """Reserve the number of a new room; several are fetched at once."""
        if not self._reserved:
            rows = await self._database.fetch(
                "SELECT nextval('room_nids') FROM generate_series(1, %b::integer)", _NIDS_RESERVED
            )
            self._reserved.extend([nid for (nid,) in reversed(rows)])
        return self._reserved.pop()

    async def find(self, room_id: str) -> RoomRow | None:
        """Find a room by its ID."""
        room = self._by_id.get(room_id)
        if room is None:
            row = await self._database.fetch_one(f"SELECT {_COLUMNS} FROM rooms WHERE room_id = %b", room_id)
            if row is not None:
                room = RoomRow(*row)
                self._by_id.put(room_id, room)
        return room

    async def find_all(self, room_ids: Iterable[str]) -> dict[str, RoomRow]:
        """Find those of several rooms that there are."""
        found: dict[str, RoomRow] = {}
        missing = []
        for room_id in dict.fromkeys(room_ids):
            room = self._by_id.get(room_id)
            if room is None:
                missing.append(room_id)
            else:
                found[room_id] = room
        if missing:
            rows = await self._database.fetch(
                f"SELECT {_COLUMNS} FROM rooms WHERE room_id = ANY(%b::text[])", missing
            )
            for room in [RoomRow(*row) for row in rows]:
                self._by_id.put(room.room_id, room)
                found[room.room_id] = room
        return found

    async def by_nids(self, room_nids: Iterable[int]) -> dict[int, RoomRow]:
        """Find rooms by their numbers."""
        rows = await self._database.fetch(
            f"SELECT {_COLUMNS} FROM rooms WHERE room_nid = ANY(%b::bigint[])", list(room_nids)
        )
        return {row[0]: RoomRow(*row) for row in rows}

    async def tip(self, room_nid: int) -> RoomTip | None:
        """Read where the room's graph ends."""
        row = await self._database.fetch_one(
            "SELECT extremities, depth, last_position, state_group, retention_class FROM room_tips"
            " JOIN rooms USING (room_nid) WHERE room_nid = %b::bigint",
            room_nid,
        )
        return RoomTip(tuple(row[0]), *row[1:]) if row is not None else None

    async def last_positions(self, room_nids: Iterable[int]) -> dict[int, int]:
        """Read the position of each room's last event: tells a reader which rooms have news."""
        rows = await self._database.fetch(
            "SELECT room_nid, last_position FROM room_tips WHERE room_nid = ANY(%b::bigint[])",
            list(room_nids),
        )
        return dict(rows)

    async def last_positions_by_id(self, room_ids: Iterable[str]) -> dict[str, int]:
        """Read the same of rooms known by their IDs."""
        rows = await self._database.fetch(
            "SELECT room_id, last_position FROM rooms JOIN room_tips USING (room_nid)"
            " WHERE room_id = ANY(%b::text[])",
            list(room_ids),
        )
        return dict(rows)

    async def public(self, limit: int, after_room_nid: int = 0) -> list[RoomRow]:
        """Read the rooms that the directory lists, in the order of their numbers."""
        rows = await self._database.fetch(
            f"SELECT {_COLUMNS} FROM rooms WHERE is_public AND room_nid > %b::bigint"
            " ORDER BY room_nid LIMIT %b::bigint",
            after_room_nid, limit,
        )  # fmt: skip
        return [RoomRow(*row) for row in rows]

    async def correct_version(self, room_id: str, version: str) -> None:
        """Take note of the version of a room that was never here, and of which somebody told another one."""
        await self._database.execute(
            "UPDATE rooms SET version = %b WHERE room_id = %b AND NOT EXISTS"
            " (SELECT FROM room_tips WHERE room_tips.room_nid = rooms.room_nid)",
            version, room_id,
        )  # fmt: skip
        self._by_id.forget(room_id)

    async def set_public(self, room_id: str, *, is_public: bool) -> None:
        """List the room in the directory, or do not."""
        await self._database.execute(
            "UPDATE rooms SET is_public = %b WHERE room_id = %b AND is_public <> %b",
            is_public, room_id, is_public,
        )  # fmt: skip
        self._by_id.forget(room_id)
