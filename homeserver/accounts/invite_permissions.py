"""Who may be invited.

Spec: https://spec.matrix.org/v1.19/client-server-api/#invite-permission
"""

from homeserver.accounts.known_account_data import KnownAccountData
from homeserver.core.content.invite_permission import INVITE_PERMISSION_CONFIG, blocks_invites_in
from storage.tables.queries import Queries

__all__ = ["InvitePermissions"]


class InvitePermissions:
    """Answers who wants no invites. Subscribe `take_in` to the bus before the first question."""

    def __init__(self, queries: Queries) -> None:
        self._configs = KnownAccountData(
            queries, INVITE_PERMISSION_CONFIG, lambda content, _: blocks_invites_in(content)
        )
        self.take_in = self._configs.take_in

    async def blocks_invites(self, user_id: str) -> bool:
        """Whether nobody may invite this user."""
        return await self._configs.of(user_id)
