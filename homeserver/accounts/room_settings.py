"""What a user set for a room, carried over to the room that replaces it: tags, and that it is a direct chat.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
"""

from typing import Any

import orjson

from homeserver.accounts.account_data import AccountData
from homeserver.accounts.tags import Tags

__all__ = ["RoomSettings"]

_DIRECT = "m.direct"
_TAGS = "m.tag"


class RoomSettings:
    """Carries settings from room to room.

    Args:
        account_data: where they are.
    """

    def __init__(self, account_data: AccountData) -> None:
        self._account_data = account_data
        self._tags = Tags(account_data)

    async def carry_over(self, user_id: str, from_room_id: str, to_room_id: str) -> None:
        """Give a room the settings of another, so far as it has none of its own.

        Raises:
            TooLarge: the user has too much account data.
            Unavailable: it could not be stored just now.
        """
        tags = await self._tags.of_room(user_id, from_room_id)
        if tags:
            encoded = orjson.dumps({"tags": tags})
            await self._account_data.change(
                user_id, _TAGS, lambda there: encoded if there is None else there, to_room_id
            )
        await self._account_data.change(
            user_id, _DIRECT, lambda there: _with_successor(there, from_room_id, to_room_id)
        )


def _with_successor(content: bytes | None, from_room_id: str, to_room_id: str) -> bytes | None:
    """List the new room wherever the old one is; whatever else clients put there stays as it is."""
    direct: Any = None if content is None else orjson.loads(content)
    changed = False
    for room_ids in direct.values() if isinstance(direct, dict) else ():
        if isinstance(room_ids, list) and from_room_id in room_ids and to_room_id not in room_ids:
            room_ids.append(to_room_id)
            changed = True
    return orjson.dumps(direct) if changed else content
