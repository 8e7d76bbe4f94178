"""Whom users ignore.

Spec: https://spec.matrix.org/v1.19/client-server-api/#ignoring-users
"""

from homeserver.accounts.known_account_data import KnownAccountData
from homeserver.core.content.ignored_users import IGNORED_USER_LIST, ignored_users_in
from storage.tables.queries import Queries

__all__ = ["IgnoredUsers"]


class IgnoredUsers:
    """Answers whom a user ignores. Subscribe `take_in` to the bus before the first question."""

    def __init__(self, queries: Queries) -> None:
        self._lists = KnownAccountData(queries, IGNORED_USER_LIST, ignored_users_in)
        self.take_in = self._lists.take_in

    async def ignored_by(self, user_id: str) -> frozenset[str]:
        """The users whose messages and invites this user is not shown."""
        return await self._lists.of(user_id)
