"""Looking at, locking and suspending accounts, for administrators; and where one is logged in oneself."""

import msgspec

from homeserver.accounts.moderation import AccountModeration
from homeserver.accounts.seen_sessions import SeenSessions
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["AccountModerationEndpoints", "LockBody", "SuspendBody"]

_LOCK = "/_matrix/client/v1/admin/lock/{userId}"
_SUSPEND = "/_matrix/client/v1/admin/suspend/{userId}"
_API = "https://spec.matrix.org/v1.19/client-server-api/"


class LockBody(msgspec.Struct):
    """Whether an account is to be locked."""

    locked: bool


class SuspendBody(msgspec.Struct):
    """Whether an account is to be suspended."""

    suspended: bool


class AccountModerationEndpoints:
    """Tells about accounts and restricts them.

    Args:
        moderation: looks and restricts.
        seen: knows when sessions were used.
    """

    def __init__(self, *, moderation: AccountModeration, seen: SeenSessions) -> None:
        self._moderation = moderation
        self._seen = seen

    @endpoint(
        "GET", _LOCK, authentication=Authentication.ADMIN, spec=_API + "#get_matrixclientv1adminlockuserid"
    )
    async def get_lock(self, request: Request) -> Response:
        """Tell whether an account is locked."""
        state = await self._moderation.state_of(request.requester, request.parameters["userId"])
        return json_response({"locked": state.is_locked})

    @endpoint(
        "PUT", _LOCK, authentication=Authentication.ADMIN, body=LockBody,
        spec=_API + "#put_matrixclientv1adminlockuserid",
    )  # fmt: skip
    async def set_lock(self, request: Request) -> Response:
        """Lock or unlock an account."""
        body: LockBody = request.body
        await self._moderation.lock(
            request.requester, request.parameters["userId"], is_locked=body.locked
        )
        return json_response({"locked": body.locked})

    @endpoint(
        "GET", _SUSPEND, authentication=Authentication.ADMIN,
        spec=_API + "#get_matrixclientv1adminsuspenduserid",
    )  # fmt: skip
    async def get_suspension(self, request: Request) -> Response:
        """Tell whether an account is suspended."""
        state = await self._moderation.state_of(request.requester, request.parameters["userId"])
        return json_response({"suspended": state.is_suspended})

    @endpoint(
        "PUT", _SUSPEND, authentication=Authentication.ADMIN, body=SuspendBody,
        spec=_API + "#put_matrixclientv1adminsuspenduserid",
    )  # fmt: skip
    async def set_suspension(self, request: Request) -> Response:
        """Suspend an account, or end that."""
        body: SuspendBody = request.body
        await self._moderation.suspend(
            request.requester, request.parameters["userId"], is_suspended=body.suspended
        )
        return json_response({"suspended": body.suspended})

    @endpoint(
        "GET", "/_matrix/client/v3/admin/whois/{userId}", spec=_API + "#get_matrixclientv3adminwhoisuserid"
    )
    async def get_whois(self, request: Request) -> Response:
        """Tell from where a user was last seen: to themselves, and to administrators."""
        user_id = request.parameters["userId"]
        if user_id != request.requester.user_id:
            await self._moderation.find(request.requester, user_id)
        devices = {
            row.device_id: {
                "sessions": [
                    {
                        "connections": [
                            {"ip": row.address, "last_seen": row.seen_ms, "user_agent": row.agent}
                        ]
                    }
                ]
            }
            for row in await self._seen.of_user(user_id)
            if row.seen_ms is not None
        }
        return json_response({"user_id": user_id, "devices": devices})
