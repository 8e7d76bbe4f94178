"""Locking and suspending accounts, as administrators do.

Spec: https://spec.matrix.org/v1.19/client-server-api/#account-moderation
"""

from homeserver.accounts.access_tokens import AccessTokens
from homeserver.core.errors import Forbidden, InvalidParam, NotFound
from homeserver.core.identifiers import parse_user_id
from homeserver.core.requester import Requester
from storage.pool import Database
from storage.tables import account_states
from storage.tables.account_states import AccountState

__all__ = ["AccountModeration"]


class AccountModeration:
    """Looks at accounts and restricts them; every session feels it with its next request.

    Args:
        database: of accounts.
        access_tokens: forgets what it knows of a changed account's tokens.
        server_name: whose accounts these are.
    """

    def __init__(self, *, database: Database, access_tokens: AccessTokens, server_name: str) -> None:
        self._database = database
        self._access_tokens = access_tokens
        self._server_name = server_name

    async def find(self, requester: Requester, user_id: str) -> AccountState:
        """What any account is, for administrators.

        Raises:
            Forbidden: the requester is none.
            InvalidParam: it is no user ID, or of another server.
            NotFound: there is no such account, or it is deactivated.
        """
        # Before anything is looked up: nobody else learns who has an account.
        if not requester.is_admin:
            raise Forbidden("Only administrators of this server may do this.")
        try:
            parsed = parse_user_id(user_id)
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if parsed.server_name != self._server_name:
            raise InvalidParam("The user is not of this server.")
        state = await account_states.find(self._database, user_id)
        if state is None or state.is_deactivated:
            raise NotFound("There is no such user.")
        return state

    async def state_of(self, requester: Requester, user_id: str) -> AccountState:
        """What an account is that the requester may restrict.

        Raises:
            Forbidden: it is another administrator's, or the requester is none.
            InvalidParam: it is no user ID, or of another server.
            NotFound: there is no such account, or it is deactivated.
        """
        state = await self.find(requester, user_id)
        if state.is_admin and user_id != requester.user_id:
            raise Forbidden("The user is another administrator.")
        return state

    async def lock(self, requester: Requester, user_id: str, *, is_locked: bool) -> None:
        """Lock or unlock an account.

        Raises:
            Forbidden: it is one's own, or another administrator's.
            InvalidParam: it is no user ID, or of another server.
            NotFound: there is no such account, or it is deactivated.
        """
        await self._check(requester, user_id)
        await account_states.set_locked(self._database, user_id, is_locked=is_locked)
        await self._forget(user_id)

    async def suspend(self, requester: Requester, user_id: str, *, is_suspended: bool) -> None:
        """Suspend an account, or end that.

        Raises:
            Forbidden: it is one's own, or another administrator's.
            InvalidParam: it is no user ID, or of another server.
            NotFound: there is no such account, or it is deactivated.
        """
        await self._check(requester, user_id)
        await account_states.set_suspended(self._database, user_id, is_suspended=is_suspended)
        await self._forget(user_id)

    async def _check(self, requester: Requester, user_id: str) -> None:
        await self.state_of(requester, user_id)
        if user_id == requester.user_id:
            raise Forbidden("This would be your own account.")

    async def _forget(self, user_id: str) -> None:
        self._access_tokens.forget_sessions(await account_states.sessions_of(self._database, user_id))
