"""Whom users ignore: read once, then kept current from the bus.

Spec: https://spec.matrix.org/v1.19/client-server-api/#ignoring-users
"""

from collections.abc import Sequence

import orjson

from homeserver.core.changes import AccountDataChange, Change
from homeserver.core.content.ignored_users import IGNORED_USER_LIST, ignored_users_in
from storage.cache import LruCache
from storage.tables import account_data
from storage.tables.queries import Queries

__all__ = ["IgnoredUsers"]

USERS_MAX = 10_000
_NOBODY: frozenset[str] = frozenset()


class IgnoredUsers:
    """Answers whom a user ignores. Subscribe `take_in` to the bus before the first question."""

    def __init__(self, queries: Queries, *, users_max: int = USERS_MAX) -> None:
        self._queries = queries
        self._known: LruCache[str, frozenset[str]] = LruCache(users_max)

    async def ignored_by(self, user_id: str) -> frozenset[str]:
        """The users whose messages and invites this user is not shown."""
        known = self._known.get(user_id)
        if known is not None:
            return known
        found = _read(await account_data.find(self._queries, user_id, None, IGNORED_USER_LIST), user_id)
        # What was published meanwhile is newer than what was read.
        known = self._known.get(user_id)
        if known is None:
            known = found
            self._known.put(user_id, found)
        return known

    def take_in(self, changes: Sequence[Change]) -> None:
        """Take note of lists that were committed."""
        for change in changes:
            if (
                isinstance(change, AccountDataChange)
                and change.type == IGNORED_USER_LIST
                and change.room_id is None
            ):
                self._known.put(change.user_id, _read(change.content, change.user_id))


def _read(content: bytes | None, user_id: str) -> frozenset[str]:
    return _NOBODY if content is None else ignored_users_in(orjson.loads(content), user_id)
