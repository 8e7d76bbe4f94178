"""One user's membership of one room, and how it came about lately."""

from collections.abc import Iterable, Sequence

from homeserver.core.positions import SyncToken
from homeserver.sync.member_changes import UNKNOWN

__all__ = ["MembershipChange", "RoomOfUser", "changes_of", "changes_until_going"]

CHANGES_PER_ROOM_MAX = 50
GONE = frozenset({"ban", "leave"})

# (position, membership before or None, membership after); "before" is UNKNOWN where nobody has looked.
MembershipChange = tuple[int, str | None, str]


def changes_of(history: Iterable[tuple[int, str]]) -> list[MembershipChange]:
    """The changes of a membership whose (position, membership) have been from the beginning, oldest first."""
    before: str | None = None
    changes: list[MembershipChange] = []
    for position, membership in history:
        changes.append((position, before, membership))
        before = membership
    return changes


def changes_until_going(changes: Sequence[MembershipChange], position: int) -> list[MembershipChange]:
    """The changes up to the user's last going out before `position`; none if they never went."""
    for place in reversed(range(len(changes))):
        at, before, after = changes[place]
        if before == "join" != after and at < position:
            return list(changes[: place + 1])
    return []


class RoomOfUser:
    """One user's membership of one room, and how it came about lately."""

    __slots__ = ("changes", "is_forgotten", "membership", "position", "room_id")

    def __init__(
        self, room_id: str, position: int, before: str | None, membership: str, *, is_forgotten: bool = False
    ) -> None:
        self.room_id = room_id
        self.is_forgotten = is_forgotten  # the user left and wants to hear no more of it
        self.membership = membership
        self.position = position
        # A list, since nearly always it is the one: a deque begins with 600 bytes, and there are many rooms.
        self.changes: list[MembershipChange] = [(position, before, membership)]

    @classmethod
    def of(cls, room_id: str, changes: list[MembershipChange]) -> "RoomOfUser":
        """A room by the changes of the user's membership, oldest first: one at least."""
        room = cls(room_id, *changes[-1])
        room.changes = changes
        return room

    def changed(self, position: int, before: str | None, membership: str) -> None:
        """Take note of a later member event."""
        if len(self.changes) == CHANGES_PER_ROOM_MAX:
            # The oldest goes; what was before the one that is now the oldest takes a look at the database.
            oldest_position, _, oldest_after = self.changes[1]
            self.changes[:2] = [(oldest_position, UNKNOWN, oldest_after)]
        self.changes.append((position, before, membership))
        self.position = position
        self.membership = membership
        if membership not in GONE:
            self.is_forgotten = False

    def forget(self) -> None:
        """Take note that the user wants to hear no more of the room, if they are out of it."""
        self.is_forgotten = self.membership in GONE

    def changes_after(self, since: SyncToken) -> list[MembershipChange] | None:
        """The changes after `since`, oldest first; None if not all of them are known."""
        found: list[MembershipChange] = []
        for change in reversed(self.changes):
            if since.covers(change[0]):
                break
            if change[1] == UNKNOWN:
                return None
            found.append(change)
        found.reverse()
        return found
