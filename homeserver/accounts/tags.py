"""Tags that users put on rooms; kept as account data of the room, `m.tag`.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-tagging
"""

from collections.abc import Mapping
from typing import Any

import orjson

from homeserver.accounts.account_data import AccountData
from homeserver.core.errors import InvalidParam, NotFound

__all__ = ["Tags"]

TAG_BYTES_MAX = 255
_TYPE = "m.tag"


class Tags:
    """Reads and changes tags, one at a time."""

    def __init__(self, account_data: AccountData) -> None:
        self._account_data = account_data

    async def of_room(self, user_id: str, room_id: str) -> dict[str, Any]:
        """The tags that a user put on a room, each with what is said of it.

        Raises:
            InvalidParam: no room ID.
        """
        try:
            return _tags_in(await self._account_data.get(user_id, _TYPE, room_id))
        except NotFound:
            return {}

    async def set(self, user_id: str, room_id: str, tag: str, content: Mapping[str, Any]) -> None:
        """Put a tag on a room, or say something else of it.

        Raises:
            InvalidParam: no room ID, no name of a tag, or no order.
            TooLarge: too many tags on this room.
            Unavailable: it could not be stored just now.
        """
        _check_tag(tag)
        _check_order(content)

        def with_it(old: bytes | None) -> bytes:
            return orjson.dumps({"tags": {**_tags_in(old), tag: content}})

        await self._account_data.change(user_id, _TYPE, with_it, room_id)

    async def delete(self, user_id: str, room_id: str, tag: str) -> None:
        """Take a tag off a room; one that is not there is no matter.

        Raises:
            InvalidParam: no room ID, or no name of a tag.
            Unavailable: it could not be stored just now.
        """
        _check_tag(tag)

        def without_it(old: bytes | None) -> bytes | None:
            tags = _tags_in(old)
            if tag not in tags:
                return old
            del tags[tag]
            return orjson.dumps({"tags": tags})

        await self._account_data.change(user_id, _TYPE, without_it, room_id)


def _tags_in(content: bytes | None) -> dict[str, Any]:
    # Clients may also store `m.tag` whole, with anything in it.
    tags = None if content is None else orjson.loads(content).get("tags")
    return tags if isinstance(tags, dict) else {}


def _check_tag(tag: str) -> None:
    if not tag or len(tag.encode()) > TAG_BYTES_MAX:
        raise InvalidParam(f"The name of a tag has 1 to {TAG_BYTES_MAX} bytes.")


def _check_order(content: Mapping[str, Any]) -> None:
    order = content.get("order", 0)
    if isinstance(order, bool) or not isinstance(order, int | float) or not 0 <= order <= 1:
        raise InvalidParam("The order of a tag must be a number from 0 to 1.")
