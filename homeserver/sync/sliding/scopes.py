"""Which rooms an extension tells of: those in the windows of lists, and subscribed ones."""

from homeserver.sync.sliding.lists import Listed
from homeserver.sync.sliding.request import RoomExtension

__all__ = ["rooms_in_scope"]

ALL = "*"


def rooms_in_scope(asked: RoomExtension, listed: Listed) -> dict[str, None]:
    """The rooms of an extension, each once, in the order in which they are told."""
    rooms: dict[str, None] = {}
    keys = listed.windows.keys() if asked.lists is None or ALL in asked.lists else asked.lists
    for key in keys:
        rooms.update(dict.fromkeys(listed.windows.get(key, ())))
    wanted = None if asked.rooms is None or ALL in asked.rooms else set(asked.rooms)
    rooms.update(dict.fromkeys([one for one in listed.subscribed if wanted is None or one in wanted]))
    return rooms
