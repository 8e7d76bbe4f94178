"""The stage `m.login.sso`: who has signed in by a provider shows there again who they are.

Spec: https://spec.matrix.org/v1.19/client-server-api/#sso-during-user-interactive-authentication
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from homeserver.accounts.stages import SSO
from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.core.errors import Forbidden
from storage.pool import Database
from storage.tables import upstream

__all__ = ["CONFIRM_PATH", "SsoConfirmations", "UpstreamStage"]

CONFIRM_PATH = "/account/confirm"


class UpstreamStage:
    """Knows who can pass the stage, and where.

    Args:
        database: knows who has signed in by which provider.
        provider_ids: those that there are.
        base_url: where browsers reach this server.
    """

    def __init__(self, *, database: Database, provider_ids: Sequence[str], base_url: str) -> None:
        self._database = database
        self._provider_ids = tuple(provider_ids)
        self._base_url = base_url.rstrip("/")

    async def is_open_to(self, user_id: str) -> bool:
        """Whether this user can sign in so."""
        if not self._provider_ids:
            return False
        return await upstream.has_identity(self._database, user_id, self._provider_ids)

    async def confirmation_url(self, user_id: str, session_id: str) -> str:
        """Where to send the browser of a user who is to confirm the operation of a session."""
        del user_id  # the session knows
        return f"{self._base_url}{CONFIRM_PATH}?{urlencode({'session': session_id})}"

    async def providers_of(self, user_id: str) -> list[str]:
        """The IDs of the providers by which a user can pass it."""
        known = await upstream.providers_of(self._database, user_id)
        return [provider_id for provider_id in known if provider_id in self._provider_ids]


class SsoConfirmations:
    """Passes the stage.

    Args:
        database: knows who is who.
        interactive: keeps the sessions.
    """

    def __init__(self, *, database: Database, interactive: InteractiveAuthentication) -> None:
        self._database = database
        self._interactive = interactive

    async def waiting(self, session_id: str) -> tuple[str, str]:
        """Who has to pass the stage of a session, and what is to be done then.

        Raises:
            Forbidden: there is no such session, or nothing is left to do.
        """
        opened = await self._interactive.open_stage(session_id, SSO)
        if opened is None or opened.user_id is None or opened.is_passed:
            raise Forbidden("This link is used already, or too old. Go back to your app and begin again.")
        return opened.user_id, opened.operation

    async def confirm(self, session_id: str, provider_id: str, subject: str) -> None:
        """Note that somebody has signed in anew at a provider.

        Raises:
            Forbidden: they are not who has to, or there is no such session (any more).
        """
        user_id, _ = await self.waiting(session_id)
        if await upstream.user_of(self._database, provider_id, subject) != user_id:
            raise Forbidden(f"You have signed in as somebody else than {user_id}. Nothing was done.")
        if not await self._interactive.pass_stage(session_id, SSO, user_id):
            raise Forbidden("This link is used already, or too old. Go back to your app and begin again.")
