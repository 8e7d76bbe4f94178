"""Replacing cross-signing keys from a client that sees no password: the user approves it on the account page.

Spec: https://spec.matrix.org/v1.19/client-server-api/#oauth-authentication
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from homeserver.accounts.uia import InteractiveAuthentication
from homeserver.core.errors import Forbidden
from homeserver.core.requester import Requester
from storage.pool import Database
from storage.tables import oauth_sessions

__all__ = ["APPROVED_MS_MAX", "CrossSigningResets"]

APPROVED_MS_MAX = 10 * 60_000
"""How long after the approval the client may take."""

# COMPAT: the name of the stage before v1.17 of the specification.
_STAGES = ("m.oauth", "org.matrix.cross_signing_reset")


async def _only_on_the_page(auth: Mapping[str, Any]) -> str:
    del auth
    raise Forbidden("Open the URL of this stage in a browser, and then send the session only.")


class CrossSigningResets:
    """Knows which users have approved that one of their clients replaces their keys, once.

    Args:
        database: knows which sessions are a client's by OAuth 2.0.
        interactive: keeps the sessions of authentication, and the approvals.
        enabled: false: there is no page to approve anything on.
    """

    def __init__(
        self, *, database: Database, interactive: InteractiveAuthentication, enabled: bool
    ) -> None:
        self._database = database
        self._interactive = interactive
        self._enabled = enabled

    async def approve(self, user_id: str) -> None:
        """Note a user's approval, in place of an earlier one."""
        operation, nonce = _approval(user_id)
        await self._interactive.take_nonce(operation, nonce, APPROVED_MS_MAX)
        await self._interactive.create_nonce(operation, nonce)

    async def require(self, requester: Requester, auth: object, *, parameters: Any, url: str) -> bool:
        """Return True once the user has approved it; False where the usual stages are to be passed instead.

        Args:
            requester: whose client asks.
            auth: the `auth` property of the request's body, unchecked.
            parameters: the new keys.
            url: where the user can approve it.

        Raises:
            AuthenticationRequired: the user has not approved it yet; tells the client where they can.
        """
        if not self._enabled or not await oauth_sessions.exists(self._database, requester.session_id):
            return False
        operation, nonce = _approval(requester.user_id)
        if await self._interactive.take_nonce(operation, nonce, APPROVED_MS_MAX):
            return True
        await self._interactive.require(
            f"replace cross-signing keys of {requester.user_id}",
            [[stage] for stage in _STAGES],
            dict.fromkeys(_STAGES, _only_on_the_page),
            auth,
            user_id=requester.user_id,
            parameters=parameters,
            params={stage: {"url": url} for stage in _STAGES},
        )
        return True


def _approval(user_id: str) -> tuple[str, str]:
    return f"approved: reset of {user_id}", "reset." + hashlib.sha256(user_id.encode()).hexdigest()
