"""Which rooms an extension tells of: those in the windows of lists, and subscribed ones."""

from collections.abc import Mapping

from homeserver.sync.sliding.lists import Listed
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.request import RoomExtension

__all__ = ["Scopes"]

ALL = "*"


class Scopes:
    """The scopes of one answer. What is worked out stays with the lists, while these stay the same."""

    __slots__ = ("_listed", "_look")

    def __init__(self, look: Look, listed: Listed) -> None:
        self._look = look
        self._listed = listed

    def of(self, asked: RoomExtension | None) -> Mapping[str, None]:
        """The rooms of an extension, each once, in the order in which they are told."""
        assert asked is not None, "an extension that is on has a scope"
        key = _key(asked, "of")
        rooms = self._listed.scopes.get(key)
        if rooms is None:
            rooms = self._listed.scopes[key] = _rooms_in_scope(asked, self._listed)
        return rooms

    def joined(self, asked: RoomExtension | None) -> Mapping[str, None]:
        """Those of them that the user is in."""
        assert asked is not None, "an extension that is on has a scope"
        key = _key(asked, "joined")
        rooms = self._listed.scopes.get(key)
        if rooms is None:
            mine = self._look.user.rooms
            rooms = self._listed.scopes[key] = {
                room_id: None
                for room_id in self.of(asked)
                if room_id in mine and mine[room_id].membership == "join"
            }
        return rooms


def _key(asked: RoomExtension, kind: str) -> tuple[object, ...]:
    lists, rooms = asked.lists, asked.rooms
    return kind, None if lists is None else tuple(lists), None if rooms is None else tuple(rooms)


def _rooms_in_scope(asked: RoomExtension, listed: Listed) -> dict[str, None]:
    rooms: dict[str, None] = {}
    keys = listed.windows.keys() if asked.lists is None or ALL in asked.lists else asked.lists
    for key in keys:
        rooms.update(dict.fromkeys(listed.windows.get(key, ())))
    wanted = None if asked.rooms is None or ALL in asked.rooms else set(asked.rooms)
    rooms.update(dict.fromkeys([one for one in listed.subscribed if wanted is None or one in wanted]))
    return rooms
