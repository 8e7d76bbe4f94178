"""What the server itself heeds of users' account data: read once, then kept current from the bus."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, TypeVar

import orjson

from homeserver.core.changes import AccountDataChange, Change
from homeserver.core.content.ignored_users import IGNORED_USER_LIST, ignored_users_in
from homeserver.core.content.invite_permission import INVITE_PERMISSION_CONFIG, blocks_invites_in
from storage.cache import LruCache
from storage.tables import account_data
from storage.tables.queries import Queries

__all__ = ["HeededAccountData"]

USERS_MAX = 10_000

Value = TypeVar("Value")


class HeededAccountData:
    """Answers whom users ignore, and who wants no invites.

    Subscribe `take_in` to the bus before the first question.

    Args:
        queries: to read with.
        users_max: what of so many users is remembered at once.
    """

    def __init__(self, queries: Queries, *, users_max: int = USERS_MAX) -> None:
        self._ignored = _Heeded(queries, IGNORED_USER_LIST, ignored_users_in, users_max)
        self._blocking = _Heeded(
            queries, INVITE_PERMISSION_CONFIG, lambda content, _: blocks_invites_in(content), users_max
        )

    async def ignored_by(self, user_id: str) -> frozenset[str]:
        """The users whose messages and invites this user is not shown."""
        return await self._ignored.of(user_id)

    async def ignoring(self, user_id: str, among: Collection[str]) -> Collection[str]:
        """Those of some users who ignore a user."""
        ignored = await self._ignored.of_several(among)
        return {one for one, whom in ignored.items() if user_id in whom}

    async def blocks_invites(self, user_id: str) -> bool:
        """Whether nobody may invite this user."""
        return await self._blocking.of(user_id)

    def take_in(self, changes: Sequence[Change]) -> None:
        """Take note of what was committed."""
        for change in changes:
            if isinstance(change, AccountDataChange) and change.room_id is None:
                self._ignored.take_in(change)
                self._blocking.take_in(change)


class _Heeded(Generic[Value]):
    """One type of account data, understood."""

    def __init__(
        self,
        queries: Queries,
        type_: str,
        read: Callable[[Mapping[str, Any] | None, str], Value],
        users_max: int,
    ) -> None:
        self._queries = queries
        self._type = type_
        self._read = read
        self._known: LruCache[str, Value] = LruCache(users_max)

    async def of(self, user_id: str) -> Value:
        known = self._known.get(user_id)
        if known is not None:
            return known
        content = await account_data.find(self._queries, user_id, None, self._type)
        # What was published meanwhile is newer than what was read.
        known = self._known.get(user_id)
        if known is None:
            known = self._understood(user_id, content)
            self._known.put(user_id, known)
        return known

    async def of_several(self, user_ids: Collection[str]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        missing = []
        for user_id in user_ids:
            known = self._known.get(user_id)
            if known is None:
                missing.append(user_id)
            else:
                found[user_id] = known
        if missing:
            contents = await account_data.of_users(self._queries, missing, self._type)
            for user_id in missing:
                known = self._known.get(user_id)  # see `of`
                if known is None:
                    known = self._understood(user_id, contents.get(user_id))
                    self._known.put(user_id, known)
                found[user_id] = known
        return found

    def take_in(self, change: AccountDataChange) -> None:
        if change.type == self._type:
            self._known.put(change.user_id, self._understood(change.user_id, change.content))

    def _understood(self, user_id: str, content: bytes | None) -> Value:
        return self._read(None if content is None else orjson.loads(content), user_id)
