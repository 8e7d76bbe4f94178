"""Whose devices one reader is to ask for anew, and whose no more: live clients need no database."""

from dataclasses import dataclass

from homeserver.core.positions import SyncToken, writer_of

__all__ = ["DeviceListNews", "News"]

ENTRIES_MAX = 1_000


@dataclass(slots=True)
class News:
    """What was noted between two places.

    Attributes:
        changed: users whose devices or keys changed, and who shared a room with the reader then.
        met: users who came into a room of the reader, and may have shared no other one.
        gone: users who left a room of the reader, and may share no other one.
        told: users of whose change the reader alone is told.
        rooms: rooms that the reader came into or left.
        is_clear: what is noted is all there is to it. Else the reader came into rooms or left them, others
            came into another room with the reader, and who shared which room when is to be read.
    """

    changed: list[str]
    met: list[str]
    gone: list[str]
    told: list[str]
    rooms: list[str]
    is_clear: bool


class DeviceListNews:
    """Remembers who changed and when, the last time of each. Says honestly where its knowledge ends."""

    __slots__ = ("_changed", "_floor", "_gone", "_met", "_met_again", "_newest", "_rooms", "_told")

    def __init__(self, floor: SyncToken) -> None:
        self._floor = floor  # raised by each that had to go
        self._newest = {writer_of(position): position for position in floor.positions.values()}
        self._changed: dict[str, int] = {}  # each by last change
        self._met: dict[str, int] = {}
        self._gone: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._rooms: dict[str, int] = {}
        self._met_again = 0

    def note_changed(self, user_id: str, position: int) -> None:
        """Take note that the devices changed of a user who shares a room with the reader."""
        self._note(self._changed, user_id, position)

    def note_met(self, user_id: str, position: int) -> None:
        """Take note that a user came into a room of the reader, and may have shared no other one."""
        self._gone.pop(user_id, None)
        self._note(self._met, user_id, position)

    def note_met_again(self, position: int) -> None:
        """Take note that a user who shares a room with the reader came into another one."""
        self._met_again = position

    def note_told(self, user_id: str, position: int) -> None:
        """Take note that the reader is to ask for a user, whether they share a room or not."""
        self._note(self._told, user_id, position)

    def note_gone(self, user_id: str, position: int) -> None:
        """Take note that a user may share no room with the reader any more."""
        self._note(self._gone, user_id, position)

    def note_room(self, room_id: str, position: int) -> None:
        """Take note that the reader came into a room, or left it."""
        self._note(self._rooms, room_id, position)

    def is_quiet_since(self, since: SyncToken) -> bool:
        """Nothing was noted after `since`."""
        for position in self._newest.values():  # noqa: SIM110 - asked at every delivery: `all` takes thrice as long
            if not since.covers(position):
                return False
        return True

    def after(self, since: SyncToken, until: SyncToken) -> News | None:
        """What was noted after `since`, and not after `until`; None if not all of it is known."""
        if not since.covers_all_of(self._floor):
            return None
        rooms = _between(self._rooms, since, until)
        return News(
            _between(self._changed, since, until),
            _between(self._met, since, until),
            _between(self._gone, since, until),
            _between(self._told, since, until),
            rooms,
            is_clear=not rooms or not self._met_again or since.covers(self._met_again),
        )

    def _note(self, noted: dict[str, int], name: str, position: int) -> None:
        noted.pop(name, None)
        noted[name] = position
        self._newest[writer_of(position)] = position
        if len(noted) > ENTRIES_MAX:
            self._floor = self._floor.advance(noted.pop(next(iter(noted))))


def _between(noted: dict[str, int], since: SyncToken, until: SyncToken) -> list[str]:
    return [name for name, position in noted.items() if not since.covers(position) and until.covers(position)]
