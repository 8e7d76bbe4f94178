"""Changing one's password."""

from typing import Any

import msgspec

from homeserver.accounts.password_changes import PasswordChanges
from homeserver.accounts.reauthentication import Reauthentication
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["PasswordBody", "PasswordEndpoints"]


class PasswordBody(msgspec.Struct):
    """The new password, and how the user shows that they may set it."""

    new_password: str
    logout_devices: bool = True
    auth: dict[str, Any] | None = None


class PasswordEndpoints:
    """Sets passwords.

    Args:
        changes: sets them.
        reauthentication: asks for the old one.
    """

    def __init__(self, *, changes: PasswordChanges, reauthentication: Reauthentication) -> None:
        self._changes = changes
        self._reauthentication = reauthentication

    @endpoint(
        "POST",
        "/_matrix/client/v3/account/password",
        authentication=Authentication.OPTIONAL,
        rate_limit=RateLimit.LOGIN,
        body=PasswordBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountpassword",
    )
    async def set_password(self, request: Request) -> Response:
        """Set the password, and log out the other devices unless that is not wanted."""
        requester = request.maybe_requester
        body: PasswordBody = request.body
        self._changes.check(body.new_password)
        parameters = [body.new_password, body.logout_devices]
        if requester is None:
            user_id = await self._reauthentication.user_to_reset(body.auth, parameters=parameters)
        else:
            user_id = requester.user_id
            await self._reauthentication.require(
                requester, "change the password", body.auth, parameters=parameters
            )
        kept = requester.device_id if requester is not None and requester.user_id == user_id else None
        await self._changes.set(
            user_id, body.new_password, logs_out=body.logout_devices, kept_device_id=kept
        )
        return json_response({})
