"""What users keep with their accounts: a part of the world in memory."""

import orjson

from homeserver.core.changes import AccountDataChange


class WithAccountData:
    """What a world needs to have account data; it has the clock, the positions and the bus."""

    def __init__(self):
        self.account_data = {}  # (user ID, room ID or None, type) → AccountDataChange

    def keep(self, user_id, type_, content, room_id=None):
        """Commit account data, deleted if the content is None, and publish it."""
        self.clock.ms += 1
        encoded = None if content is None else orjson.dumps(content)
        change = AccountDataChange(self.snowflakes.next(self.clock.ms), user_id, room_id, type_, encoded)
        self.account_data[user_id, room_id, type_] = change
        self.unpublished.append(change)
        if not self.holds_back:
            self.publish()

    def ignore(self, user_id, *ignored):
        """Commit a user's list of ignored users."""
        self.keep(user_id, "m.ignored_user_list", {"ignored_users": {each: {} for each in ignored}})

    def kept(self, user_id, room_id=None):
        """A user's account data: type → content."""
        return {
            type_: orjson.loads(change.content)
            for (owner, place, type_), change in self.account_data.items()
            if (owner, place) == (user_id, room_id) and change.content is not None
        }

    async def account_data_after(self, user_id, after):
        self.reads += 1
        return self._kept_by(user_id, lambda change: change.position > after)

    async def account_data_of_rooms(self, user_id, room_ids):
        self.reads += 1
        return self._kept_by(user_id, lambda change: change.room_id in room_ids)

    async def account_data_of_types(self, user_id, types):
        self.reads += 1
        return self._kept_by(user_id, lambda change: change.room_id is None and change.type in types)

    def _kept_by(self, user_id, is_asked_for):
        found = [each for each in self.account_data.values() if each.user_id == user_id]
        return sorted(filter(is_asked_for, found), key=lambda each: each.position)
