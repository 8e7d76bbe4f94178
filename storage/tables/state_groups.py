"""State groups: the state before every event, in few rows."""

from collections import OrderedDict
from collections.abc import Iterable

from storage.pool import Database, Row
from storage.state_chain import EMPTY_GROUP, ChainLink, NewGroup, StateChain
from storage.state_delta import StateDelta, packed_key
from storage.write import Statement, Write

__all__ = ["STATE_GROUP_INSERT", "StateGroups", "add_state_group"]

CACHE_BYTES_MAX = 64 * 1024 * 1024
_KNOWN_PER_QUERY_MAX = 100
_LINKS_MIN = 1_000
"""Of all rooms: a chain that was just read is not pushed out at once."""
_LINKS_MAX = 10_000
"""Of a chain: only rooms of before there were groups have long ones."""

STATE_GROUP_INSERT = Statement(
    name="state_groups",
    rank=22,
    sql=(
        "INSERT INTO state_groups (room_nid, state_group, base, depth, delta) SELECT * FROM"
        " unnest(%b::bigint[], %b::bigint[], %b::bigint[], %b::integer[], %b::bytea[])"
    ),
)
"""Columns: room_nid, state_group, base, depth, delta. See `add_state_group`."""

# A group without a row is the one before the event at its position, and that event.
_LINK = (
    "coalesce(groups.base, events.state_group) AS base, groups.depth, groups.delta,"
    " events.type_nid, events.state_key_nid"
)
_JOINS = (
    " LEFT JOIN state_groups AS groups"
    " ON groups.room_nid = %b::bigint AND groups.state_group = asked.state_group"
    " LEFT JOIN events ON groups.room_nid IS NULL AND events.room_nid = %b::bigint"
    " AND events.position = asked.state_group AND events.retention_class = 0"
)
_CHAIN = (
    f"WITH RECURSIVE chain AS (SELECT asked.state_group, {_LINK}, 1 AS links"
    f" FROM (SELECT %b::bigint AS state_group) AS asked{_JOINS}"
    f" UNION ALL SELECT asked.state_group, {_LINK}, asked.links"
    " FROM (SELECT base AS state_group, links + 1 AS links FROM chain"
    " WHERE base <> 0 AND base <> ALL(%b::bigint[]) AND links < %b::integer) AS asked"
    f"{_JOINS}) SELECT state_group, base, depth, delta, type_nid, state_key_nid FROM chain"
    " ORDER BY links"
)


def add_state_group(write: Write, room_nid: int, group: int, planned: NewGroup) -> None:
    """Add to a write a group that is more than a step, or whose step is not the event at its position."""
    delta = planned.delta.pack(group)
    write.rows.append((STATE_GROUP_INSERT, (room_nid, group, planned.base, planned.depth, delta)))


class StateGroups:
    """Reads state groups; links are remembered, the most recently used ones first.

    Args:
        database: where they are.
        cache_bytes_max: how much is remembered.
    """

    def __init__(self, database: Database, *, cache_bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._database = database
        self._cache_bytes_max = cache_bytes_max
        self._cache_bytes = 0
        # The link and the number of its base, by room and group; the one used longest ago comes first.
        self._links: OrderedDict[tuple[int, int], tuple[ChainLink, int]] = OrderedDict()
        self._known: dict[int, OrderedDict[int, None]] = {}

    async def chain(self, room_nid: int, group: int) -> StateChain:
        """Read a group with all below it."""
        found = self._from_cache(room_nid, group)
        if found is None:
            await self._read(room_nid, group, list(self._known.get(room_nid, ()))[-_KNOWN_PER_QUERY_MAX:])
            found = self._from_cache(room_nid, group)
        if found is None:  # what was relied on had been pushed out
            await self._read(room_nid, group, [])
            found = self._from_cache(room_nid, group)
            assert found is not None, f"state group {group} of room {room_nid} has its chain in storage"
        return found

    async def chains(self, room_nid: int, groups: Iterable[int]) -> dict[int, StateChain]:
        """Read several groups."""
        return {group: await self.chain(room_nid, group) for group in dict.fromkeys(groups)}

    def remember(self, room_nid: int, chain: StateChain) -> None:
        """Take note of a chain that has just been written."""
        for index, link in enumerate(chain.links):
            if (room_nid, link.group) in self._links:
                return
            below = chain.links[index + 1 : index + 2]
            self._put(room_nid, link, below[0].group if below else EMPTY_GROUP)

    def _from_cache(self, room_nid: int, group: int) -> StateChain | None:
        links = []
        while group != EMPTY_GROUP:
            known = self._links.get((room_nid, group))
            if known is None:
                return None
            self._links.move_to_end((room_nid, group))
            links.append(known[0])
            group = known[1]
        return StateChain(links)

    async def _read(self, room_nid: int, group: int, known: list[int]) -> None:
        """Read the links of a chain, down to one that is known."""
        known_depths = {one: self._links[room_nid, one][0].depth for one in known}
        rows = await self._database.fetch(
            _CHAIN, group, room_nid, room_nid, known, _LINKS_MAX, room_nid, room_nid
        )
        depth = known_depths.get(rows[-1][1], 0) if rows else 0
        for row in reversed(rows):
            depth = depth + 1 if row[2] is None else row[2]
            self._put(room_nid, ChainLink(row[0], depth, _delta_of(row)), row[1])

    def _put(self, room_nid: int, link: ChainLink, base: int) -> None:
        known = self._known.setdefault(room_nid, OrderedDict())
        if link.group in known:
            return
        known[link.group] = None
        self._links[room_nid, link.group] = (link, base)
        self._cache_bytes += link.delta.bytes_held
        while self._cache_bytes > self._cache_bytes_max and len(self._links) > _LINKS_MIN:
            (old_room_nid, old_group), (old, _) = self._links.popitem(last=False)
            self._cache_bytes -= old.delta.bytes_held
            del self._known[old_room_nid][old_group]
            if not self._known[old_room_nid]:
                del self._known[old_room_nid]


def _delta_of(row: Row) -> StateDelta:
    group, _, depth, delta, type_nid, state_key_nid = row
    if depth is not None:
        return StateDelta.unpack(delta, group)
    assert state_key_nid is not None, f"state group {group} is a row, or the position of a state event"
    return StateDelta.of({packed_key(type_nid, state_key_nid): group})
