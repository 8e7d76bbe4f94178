"""Who is in a room: the summary by which clients name it.

Read once, then kept current from the bus; of large rooms only the summary, and again after a change.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice

import orjson

from homeserver.core.changes import EventChange
from homeserver.core.content.member import LEAVE, membership_of
from homeserver.sync.ports import SyncReads

__all__ = ["RoomMembers", "Summary"]

MEMBERS_MAX = 200_000
MEMBERS_PER_ROOM_MAX = 1_000
"""Of a room with more, past and present ones, not all are remembered."""
LARGE_ROOMS_MAX = 10_000
HEROES_MAX = 5
PRESENT = frozenset({"invite", "join"})

Digest = tuple[list[str], int, int]
"""The first members, one more than heroes are told; how many have joined; how many are invited."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What `summary` of a joined room says, for one user."""

    heroes: list[str]
    joined: int
    invited: int

    def json(self) -> bytes:
        """The JSON of it."""
        return orjson.dumps(
            {
                "m.heroes": self.heroes,
                "m.joined_member_count": self.joined,
                "m.invited_member_count": self.invited,
            }
        )


class _Room:
    """Every member of a room, in the order of their last change of membership; of a large one a digest."""

    __slots__ = ("_digest", "is_large", "members", "missed", "read", "size")

    def __init__(self, read: "asyncio.Future[None]") -> None:
        self.read = read  # done once the rows are here, or are known not to come
        self.members: dict[str, tuple[str, int]] = {}
        self.size = 0
        self._digest: Digest | None = None
        self.is_large = False
        self.missed: list[EventChange] | None = []  # while the rows are being read

    def take_in(self, change: EventChange) -> None:
        """Apply the member events of a change, unless the rows had them already."""
        for event in change.member_events:
            self._put(event.state_key or "", membership_of(event), change.position)
        for user_id in change.lost_members:
            self._put(user_id, LEAVE, change.position)

    def _put(self, user_id: str, membership: str, position: int) -> None:
        before = self.members.get(user_id)
        if before is not None and before[1] >= position:
            return
        if before is not None and before[0] != membership:
            del self.members[user_id]  # to the end of the order, but not for a new display name
        self.members[user_id] = (membership, position)
        self._digest = None

    def be_large(self, digest: Digest) -> None:
        """Take a digest that was read; there is no changing it."""
        self.is_large, self.size = True, len(digest[0])
        self._digest = digest

    def digest(self) -> Digest:
        """The digest, worked out once a change."""
        if self._digest is None:
            memberships = [membership for membership, _ in self.members.values()]
            joined, invited = memberships.count("join"), memberships.count("invite")
            present = (member for member, (membership, _) in self.members.items() if membership in PRESENT)
            heroes = list(islice(present, HEROES_MAX + 1))
            if len(heroes) <= 1:  # where one is alone in the room, those who went are its heroes
                gone = [member for member, (there, _) in self.members.items() if there not in PRESENT]
                heroes = (heroes + gone)[: HEROES_MAX + 1]
            self._digest = heroes, joined, invited
        return self._digest


class RoomMembers:
    """The members of as many rooms as there is room for, those first that were asked about last.

    Args:
        reads: reads them.
        members_max: remembered in all.
        members_per_room_max: rooms that ever had more are large.
    """

    def __init__(
        self, reads: SyncReads, *, members_max: int = MEMBERS_MAX,
        members_per_room_max: int = MEMBERS_PER_ROOM_MAX,
    ) -> None:  # fmt: skip
        self._reads = reads
        self._members_max = members_max
        self._members_per_room_max = members_per_room_max
        self._members = 0  # of the rooms that are remembered, as of when they were read
        self._rooms: OrderedDict[str, _Room] = OrderedDict()
        self._large: OrderedDict[str, None] = OrderedDict()  # rooms that are known to be; they stay large

    def take_in(self, change: EventChange) -> None:
        """Keep a remembered room current."""
        if not (change.member_events or change.lost_members):
            return
        room = self._rooms.get(change.room_id)
        if room is None:
            return
        if room.missed is not None:
            room.missed.append(change)
        elif room.is_large:
            self._drop(change.room_id, room)
        else:
            room.take_in(change)

    async def summary(self, room_id: str, user_id: str) -> Summary:
        """The summary of a room, as it is now, for a user."""
        room = await self._room(room_id)
        first, joined, invited = room.digest()
        return Summary([member for member in first if member != user_id][:HEROES_MAX], joined, invited)

    def everyone(self, room_id: str) -> AbstractSet[str] | None:
        """All who ever were members of a room that was summed up lately; None: nobody knows, or many."""
        room = self._rooms.get(room_id)
        if room is None or room.missed is not None or room.is_large:
            return None
        return room.members.keys()

    async def _room(self, room_id: str) -> _Room:
        while True:
            room = self._rooms.get(room_id)
            if room is None:
                return await self._load(room_id)
            if room.read.done():
                self._rooms.move_to_end(room_id)
                return room
            await asyncio.shield(room.read)  # one reads for all, then all look again

    async def _load(self, room_id: str) -> _Room:
        room = self._rooms[room_id] = _Room(asyncio.get_running_loop().create_future())
        try:
            await self._read(room_id, room)
        except BaseException:
            del self._rooms[room_id]
            raise
        else:
            missed, room.missed = room.missed, None
            self._members += room.size
            if room.is_large and missed:
                self._drop(room_id, room)  # whoever hears of the change asks again
                return room
            for change in missed or ():
                room.take_in(change)
            self._make_way()
            return room
        finally:
            room.read.set_result(None)

    async def _read(self, room_id: str, room: _Room) -> None:
        if room_id not in self._large:
            rows = await self._reads.members_of(room_id, self._members_per_room_max)
            if rows is not None:
                room.members = {user_id: (membership, position) for user_id, membership, position in rows}
                room.size = len(room.members)
                return
            self._large[room_id] = None
            if len(self._large) > LARGE_ROOMS_MAX:
                self._large.popitem(last=False)
        room.be_large(await self._reads.members_in_short(room_id, HEROES_MAX + 1))

    def _drop(self, room_id: str, room: _Room) -> None:
        del self._rooms[room_id]
        self._members -= room.size

    def _make_way(self) -> None:
        if self._members <= self._members_max:
            return
        for room_id, room in list(self._rooms.items())[:-1]:
            if self._members <= self._members_max:
                return
            if room.read.done():
                self._drop(room_id, room)
