"""Who is in a room: the summary by which clients name it. Read once, then kept current from the bus."""

from collections import OrderedDict
from dataclasses import dataclass

import orjson

from homeserver.core.changes import EventChange
from homeserver.sync.ports import SyncReads

__all__ = ["RoomMembers", "Summary"]

ROOMS_MAX = 1_000
HEROES_MAX = 5


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
    """Every member of a room, in the order of their last member event."""

    __slots__ = ("members", "missed")

    def __init__(self) -> None:
        self.members: dict[str, tuple[str, int]] = {}
        self.missed: list[EventChange] | None = []  # while the rows are being read

    def take_in(self, change: EventChange) -> None:
        """Apply one member event, unless the rows had it already."""
        user_id = change.event.state_key
        assert user_id is not None
        before = self.members.get(user_id)
        if before is not None and before[1] >= change.position:
            return
        membership = str(change.event.content.get("membership"))
        if before is not None and before[0] != membership:
            del self.members[user_id]  # to the end of the order, but not for a new display name
        self.members[user_id] = (membership, change.position)


class RoomMembers:
    """The members of as many rooms as there is room for, those first that were asked about last."""

    def __init__(self, reads: SyncReads, *, rooms_max: int = ROOMS_MAX) -> None:
        self._reads = reads
        self._rooms_max = rooms_max
        self._rooms: OrderedDict[str, _Room] = OrderedDict()

    def take_in(self, change: EventChange) -> None:
        """Keep a remembered room current."""
        if change.event.type != "m.room.member" or change.event.state_key is None:
            return
        room = self._rooms.get(change.room_id)
        if room is None:
            return
        if room.missed is not None:
            room.missed.append(change)
        else:
            room.take_in(change)

    async def summary(self, room_id: str, user_id: str) -> Summary:
        """The summary of a room, as it is now, for a user."""
        room = self._rooms.get(room_id)
        if room is None or room.missed is not None:
            room = await self._load(room_id)
        else:
            self._rooms.move_to_end(room_id)
        present: list[str] = []
        gone: list[str] = []
        joined = invited = 0
        for member, (membership, _) in room.members.items():
            if membership == "join":
                joined += 1
            elif membership == "invite":
                invited += 1
            if member != user_id:
                (present if membership in {"join", "invite"} else gone).append(member)
        return Summary((present or gone)[:HEROES_MAX], joined, invited)

    async def _load(self, room_id: str) -> _Room:
        room = self._rooms[room_id] = _Room()
        try:
            rows = await self._reads.members_of(room_id)
        except BaseException:
            if self._rooms.get(room_id) is room:
                del self._rooms[room_id]
            raise
        for user_id, membership, position in rows:
            room.members[user_id] = (membership, position)
        missed, room.missed = room.missed, None
        for change in missed or ():
            room.take_in(change)
        if len(self._rooms) > self._rooms_max:
            self._rooms.popitem(last=False)
        return room
