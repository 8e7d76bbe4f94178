"""What the server itself heeds of users' account data: read once, then kept current from the bus."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson

from homeserver.core.changes import AccountDataChange, Change
from storage.cache import LruCache
from storage.tables import account_data
from storage.tables.queries import Queries

__all__ = ["KnownAccountData"]

USERS_MAX = 10_000

Value = TypeVar("Value")


class KnownAccountData(Generic[Value]):
    """One global type of account data, understood. Subscribe `take_in` to the bus before the first question.

    Args:
        queries: to read with.
        type_: the type.
        read: understands the content of a user; None stands for no content.
        users_max: of so many users at once.
    """

    def __init__(
        self,
        queries: Queries,
        type_: str,
        read: Callable[[Mapping[str, Any] | None, str], Value],
        *,
        users_max: int = USERS_MAX,
    ) -> None:
        self._queries = queries
        self._type = type_
        self._read = read
        self._known: LruCache[str, Value] = LruCache(users_max)

    async def of(self, user_id: str) -> Value:
        """What a user's account data says."""
        known = self._known.get(user_id)
        if known is not None:
            return known
        found = self._understood(
            user_id, await account_data.find(self._queries, user_id, None, self._type)
        )
        # What was published meanwhile is newer than what was read.
        known = self._known.get(user_id)
        if known is None:
            known = found
            self._known.put(user_id, found)
        return known

    def take_in(self, changes: Sequence[Change]) -> None:
        """Take note of what was committed."""
        for change in changes:
            if (
                isinstance(change, AccountDataChange)
                and change.type == self._type
                and change.room_id is None
            ):
                self._known.put(change.user_id, self._understood(change.user_id, change.content))

    def _understood(self, user_id: str, content: bytes | None) -> Value:
        return self._read(None if content is None else orjson.loads(content), user_id)
