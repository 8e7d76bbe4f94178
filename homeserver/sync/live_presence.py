"""Who sees whose presence: users who are here and share a room of few members."""

from collections import OrderedDict
from collections.abc import Iterable

from homeserver.core.changes import EventChange, PresenceChange
from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.positions import SyncToken
from homeserver.sync.gathering import Gathering
from homeserver.sync.live_users import LiveUser, LiveUsers
from homeserver.sync.ports import SyncReads

__all__ = ["ROOM_MEMBERS_MAX_DEFAULT", "LivePresence"]

ROOM_MEMBERS_MAX_DEFAULT = 100
USERS_MAX = 100_000
ROOMS_MAX = 500_000
READS_MAX = 3


class LivePresence:
    """Remembers how everybody is, and how many are in the rooms of those who listen.

    Args:
        reads: counts of members.
        users: who is here, in which rooms.
        room_members_max: in rooms of more, nobody is told of anybody; 0: presence is off.
    """

    def __init__(self, reads: SyncReads, users: LiveUsers, room_members_max: int) -> None:
        self._reads = reads
        self._users = users
        self._room_members_max = room_members_max
        self._gathering = Gathering()
        self._last: OrderedDict[str, PresenceChange] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._reading: dict[str, int] = {}  # changes of rooms that are being counted

    def close(self) -> None:
        """Wake nobody any more."""
        self._gathering.close()

    async def admit(self, user_id: str) -> LiveUser:
        """Get to know the rooms of a user, whose presence is about to change."""
        return await self._users.find(user_id)

    def last(self, user_id: str) -> PresenceChange | None:
        """What was published of a user last."""
        return self._last.get(user_id)

    def take_in(self, change: PresenceChange) -> None:
        """Take note of a change; tell those who see the user, and wake them."""
        self._last[change.user_id] = change
        self._last.move_to_end(change.user_id)
        if len(self._last) > USERS_MAX:
            self._last.popitem(last=False)
        user = self._users.get(change.user_id) if change.is_news else None
        if user is None:
            return
        for reader in {user, *self._seen_by(user)}:
            reader.presence.note(change.user_id, change.position)
            self._gathering.add(reader)

    def take_in_event(self, change: EventChange) -> None:
        """Follow who comes into which room: count, and let those see each other who did not before."""
        if not self._room_members_max:
            return
        joined = {event.state_key or "": membership_of(event) == JOIN for event in change.member_events}
        joined.update(dict.fromkeys(change.lost_members, False))
        if not joined:
            return
        room_id = change.room_id
        if room_id in self._reading:
            self._reading[room_id] += 1  # what is being read may have it or not
        own = change.event.state_key if change.event in change.member_events else None
        if len(joined) == 1 and own in joined:
            self._count(change, is_joined=joined[own or ""])
        else:
            self._forget(room_id)  # state resolution may have changed anything: count again
        for user_id, is_joined in joined.items():
            if is_joined and not (user_id == own and change.previous_membership == JOIN):
                self._come_in(user_id, change)

    async def size_up(self, reader: LiveUser) -> None:
        """Count the rooms of a reader that nobody has counted: from then on, changes are noted."""
        news = reader.presence
        for attempt in range(READS_MAX):
            unknown = self._unsized(reader)
            if not unknown:
                break
            await self._read(unknown, is_last=attempt == READS_MAX - 1)
        if news.is_new:
            news.begin_at(self._users.heard())
        news.is_sized = not self._unsized(reader)

    def visible_to(self, reader: LiveUser) -> set[str]:
        """All whom a reader sees, and the reader."""
        rooms = [room.room_id for room in reader.rooms.values() if room.membership == JOIN]
        return {reader.user_id, *self.visible_in(rooms)}

    def visible_in(self, room_ids: Iterable[str]) -> set[str]:
        """All who are here and in one of some rooms, of those that are small enough."""
        return {
            user.user_id
            for room_id in room_ids
            if self._is_small(room_id)
            for user in self._users.joined(room_id)
            if user.user_id in self._last
        }

    def sees(self, reader: LiveUser, user_id: str) -> bool:
        """Whether a reader is told of a user now."""
        if user_id == reader.user_id:
            return True
        user = self._users.get(user_id)
        if user is None:
            return False
        one, other = sorted((reader, user), key=lambda each: len(each.rooms))
        return any(
            room.membership == JOIN and self._is_small(room.room_id) and _is_joined(other, room.room_id)
            for room in one.rooms.values()
        )

    def _seen_by(self, user: LiveUser) -> set[LiveUser]:
        readers: set[LiveUser] = set()
        for room in user.rooms.values():
            if room.membership == JOIN and self._is_small(room.room_id):
                readers.update(self._users.joined(room.room_id))
        return readers

    def _is_small(self, room_id: str) -> bool:
        size = self._sizes.get(room_id)
        return size is not None and size <= self._room_members_max

    def _unsized(self, reader: LiveUser) -> list[str]:
        if not self._room_members_max:
            return []
        return [
            room.room_id
            for room in reader.rooms.values()
            if room.membership == JOIN and room.room_id not in self._sizes
        ]

    def _count(self, change: EventChange, *, is_joined: bool) -> None:
        room_id = change.room_id
        before = self._sizes.get(room_id)
        if before is None:
            return
        after = self._sizes[room_id] = before + is_joined - (change.previous_membership == JOIN)
        if after <= self._room_members_max < before:
            for reader in self._users.joined(room_id):
                reader.presence.note_room(room_id, SyncToken().advance(change.position))

    def _come_in(self, user_id: str, change: EventChange) -> None:
        room_id, user = change.room_id, self._users.get(user_id)
        if user is None:
            return
        user.presence.note_room(room_id, SyncToken().advance(change.position))
        if room_id not in self._sizes:
            user.presence.is_sized = False
        elif user_id in self._last and self._is_small(room_id):
            for reader in self._users.joined(room_id):
                reader.presence.note(user_id, change.position)

    def _forget(self, room_id: str) -> None:
        if self._sizes.pop(room_id, None) is not None:
            for reader in self._users.joined(room_id):
                reader.presence.is_sized = False

    async def _read(self, room_ids: list[str], *, is_last: bool) -> None:
        began = {room_id: self._reading.setdefault(room_id, 0) for room_id in room_ids}
        try:
            counts = await self._reads.joined_counts(room_ids)
        finally:
            changed = {room_id for room_id in room_ids if self._reading.get(room_id, -1) != began[room_id]}
            for room_id in room_ids:
                self._reading.pop(room_id, None)
        for room_id in room_ids:
            if room_id in self._sizes or (room_id in changed and not is_last):
                continue
            self._sizes[room_id] = counts.get(room_id, 0)
            for reader in self._users.joined(room_id):
                if not reader.presence.is_new:
                    # Whoever changed while nobody could say who is to be told.
                    reader.presence.note_room(room_id, self._users.heard())
                    self._gathering.add(reader)
        while len(self._sizes) > ROOMS_MAX:
            self._forget(next(iter(self._sizes)))


def _is_joined(user: LiveUser, room_id: str) -> bool:
    room = user.rooms.get(room_id)
    return room is not None and room.membership == JOIN
