"""Asks a user who is logged in to show again who they are, before something that cannot be undone.

Spec: https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
"""

from typing import Any

from homeserver.accounts.address_stages import RESET_OPERATION
from homeserver.accounts.login import PASSWORD
from homeserver.accounts.stages import SSO, Stages
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.accounts.validations import RESET
from homeserver.core.errors import Forbidden, MissingToken
from homeserver.core.requester import Requester
from storage.pool import Database
from storage.tables import accounts, oauth_sessions

__all__ = ["Reauthentication"]


class Reauthentication:
    """The one thing to call where an operation of a user needs their authentication.

    Args:
        database: of accounts.
        interactive: keeps the sessions.
        stages: checks what the user gives.
    """

    def __init__(
        self, *, database: Database, interactive: InteractiveAuthentication, stages: Stages
    ) -> None:
        self._database = database
        self._interactive = interactive
        self._stages = stages

    async def require(
        self, requester: Requester, operation: str, auth: object, *, parameters: Any = None
    ) -> None:
        """Return once the user has shown who they are.

        Args:
            requester: who asks for the operation.
            operation: what is to be done, in words that name no user: `delete devices`.
            auth: the `auth` property of the request's body, unchecked.
            parameters: what exactly is to be done, as a JSON value: it may not change once a stage is passed.

        Raises:
            AuthenticationRequired: they have not yet; tells the client how they can.
            Forbidden: their client signed in by OAuth 2.0, and is to see no password.
            LimitExceeded: too many wrong passwords lately.
        """
        user_id = requester.user_id
        if await oauth_sessions.exists(self._database, requester.session_id):
            raise Forbidden("A client with OAuth 2.0 cannot do this: send the user to the account page.")
        await self._interactive.require(
            f"{operation} of {user_id}",
            await self._flows(user_id),
            self._stages.checks(user_id),
            auth,
            user_id=user_id,
            parameters=parameters,
        )

    async def user_to_reset(self, auth: object, *, parameters: Any = None) -> str:
        """Tell who sets a new password without the old one, since they have shown that an address is theirs.

        Args:
            auth: the `auth` property of the request's body, unchecked.
            parameters: what exactly is to be done, as a JSON value.

        Raises:
            AuthenticationRequired: they have not yet; tells the client how they can.
            MissingToken: this server reaches nobody by e-mail or phone.
            ThreepidAuthFailed: no account has the address.
        """
        addresses = self._stages.addresses
        if addresses is None or not addresses.open():
            raise MissingToken("Give an access token: this server sends no e-mail to reset passwords with.")
        passed = await self._interactive.require(
            RESET_OPERATION,
            [[stage] for stage in addresses.open()],
            addresses.checks(RESET),
            auth,
            parameters=parameters,
        )
        return await addresses.user_to_reset(passed)

    async def _flows(self, user_id: str) -> list[list[str]]:
        flows = []
        single_sign_on = self._stages.single_sign_on
        if single_sign_on is not None and await single_sign_on.is_open_to(user_id):
            flows.append([SSO])
        account = await accounts.find(self._database, user_id)
        if not flows or (account is not None and account.password_hash is not None):
            # Who has neither must be told something: a flow that an administrator can make passable.
            flows.insert(0, [PASSWORD])
        return flows
