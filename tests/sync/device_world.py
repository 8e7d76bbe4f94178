"""The reads of devices of a `World` in memory."""

from storage.tables.device_lists import Moved
from storage.tables.one_time_keys import KeyCounts


class WorldDevices:
    """Device lists that changed, and counts of keys; the double of `DeviceReads`."""

    def __init__(self, world):
        self._world = world
        self.changes = {}  # (user ID, told to or None) → position
        self.counts = {}  # (user ID, device ID) → KeyCounts

    async def changed_after(self, user_id, after):
        self._world.reads += 1
        return [
            (changed, position)
            for (changed, told_to), position in self.changes.items()
            if position > after and (told_to == user_id or (told_to is None and self._sees(user_id, changed)))
        ]

    async def moved_after(self, user_id, after):
        self._world.reads += 1
        moved = {}
        for room_id in self._world.committed:
            if self._world.membership(room_id, user_id) is None:
                continue
            for change in self._world.committed[room_id]:
                if change.event.type == "m.room.member" and change.position > after:
                    member = change.event.state_key
                    moved[room_id, member] = Moved(room_id, member, self._world.membership(room_id, member))
        return list(moved.values())

    async def newly_shared(self, user_id, room_ids, after):
        self._world.reads += 1
        return [
            member
            for member in self._members(room_ids)
            if member != user_id and not self._old(user_id, after) & self._old(member, after)
        ]

    async def no_longer_shared(self, user_id, joined, left, after):
        self._world.reads += 1
        return [
            (room_id, member, self._position(room_id, member) <= after)
            for room_id in [*joined, *left]
            for member in self._moved([room_id], after) | self._members(set(left) & {room_id})
            if not self._sees(user_id, member)
        ]

    async def rooms_in_common(self, user_id, others, position):
        self._world.reads += 1
        return [
            (room_id, other, self._position(room_id, other) <= position)
            for room_id in self._world.committed
            if user_id in self._members([room_id]) | self._moved([room_id], position)
            for other in self._members([room_id]) | self._moved([room_id], position)
            if other in others
        ]

    async def sharing(self, user_id, user_ids, until=None):
        self._world.reads += 1
        until = 2**63 if until is None else until
        return {other for other in user_ids if self._old(user_id, until) & self._old(other, until)}

    async def key_counts(self, user_id, device_id):
        self._world.reads += 1
        return self.counts.get((user_id, device_id), KeyCounts({}, []))

    def _old(self, user_id, until):
        """The rooms of a user whose member event there is not newer than a position."""
        return {
            room_id for room_id in self._world.joined(user_id) if self._position(room_id, user_id) <= until
        }

    def _position(self, room_id, user_id):
        """The place of a user's member event in a room."""
        return max(
            change.position
            for change in self._world.committed[room_id]
            if (change.event.type, change.event.state_key) == ("m.room.member", user_id)
        )

    def _sees(self, user_id, other):
        return user_id == other or bool(self._world.joined(user_id) & self._world.joined(other))

    def _moved(self, room_ids, after):
        """Whose member event is newer than a position."""
        return {
            change.event.state_key
            for room_id in room_ids
            for change in self._world.committed[room_id]
            if change.event.type == "m.room.member" and change.position > after
        }

    def _members(self, room_ids):
        return {
            change.event.state_key
            for room_id in room_ids
            for change in self._world.committed[room_id]
            if change.event.type == "m.room.member"
            and self._world.membership(room_id, change.event.state_key) == "join"
        }
