"""Whose presence one reader is to be told of: live clients need no database."""

from homeserver.core.positions import SyncToken, writer_of

__all__ = ["PresenceNews"]

USERS_MAX = 1_000
ROOMS_MAX = 100


class PresenceNews:
    """Remembers who changed and when, not how: the last word is told. Says honestly where its knowledge ends.

    Attributes:
        is_new: nothing was told to the reader yet: there is nobody to be noted.
        is_sized: how many are in each of the reader's rooms is known.
    """

    __slots__ = ("_floor", "_newest", "_rooms", "_users", "is_new", "is_sized")

    def __init__(self, floor: SyncToken) -> None:
        self.is_new = True
        self.is_sized = False
        self._floor = floor  # raised by each who had to go
        self._newest: dict[int, int] = {}
        self._users: dict[str, int] = {}  # by last change
        self._rooms: dict[str, SyncToken] = {}

    def note(self, user_id: str, position: int) -> None:
        """Take note that a user whom the reader sees changed."""
        self._users.pop(user_id, None)
        self._users[user_id] = position
        self._newest[writer_of(position)] = position
        if len(self._users) > USERS_MAX:
            oldest = next(iter(self._users))
            self._floor = self._floor.advance(self._users.pop(oldest))

    def note_room(self, room_id: str, token: SyncToken) -> None:
        """Take note that the reader has come to see everybody in a room, of whom nothing was told before."""
        self._rooms.pop(room_id, None)
        self._rooms[room_id] = token
        for position in token.positions.values():
            writer_id = writer_of(position)
            self._newest[writer_id] = max(position, self._newest.get(writer_id, 0))
        if len(self._rooms) > ROOMS_MAX:
            self._floor = self._floor.merge(self._rooms.pop(next(iter(self._rooms))))

    def begin_at(self, token: SyncToken) -> None:
        """From here on everything is noted."""
        self.is_new = False
        self._floor = token
        self._users.clear()
        self._rooms.clear()
        for position in token.positions.values():
            self._newest[writer_of(position)] = position

    def is_quiet_since(self, since: SyncToken) -> bool:
        """Nobody changed after `since`."""
        if not self.is_sized:
            return False
        for position in self._newest.values():  # noqa: SIM110 - asked at every delivery: `all` takes thrice as long
            if not since.covers(position):
                return False
        return True

    def knows_all_since(self, since: SyncToken) -> bool:
        """All who changed after `since` are remembered."""
        return since.covers_all_of(self._floor)

    def users_after(self, since: SyncToken, until: SyncToken) -> list[str]:
        """Those who changed after `since`, and not after `until`, by last change."""
        return [
            user_id
            for user_id, position in self._users.items()
            if not since.covers(position) and until.covers(position)
        ]

    def rooms_after(self, since: SyncToken) -> list[str]:
        """The rooms in which the reader has come to see everybody after `since`."""
        return [room_id for room_id, token in self._rooms.items() if not since.covers_all_of(token)]
