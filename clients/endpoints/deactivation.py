"""Deactivating one's account."""

from typing import Any

import msgspec

from homeserver.accounts.deactivation import Deactivation
from homeserver.accounts.reauthentication import Reauthentication
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["DeactivationBody", "DeactivationEndpoints"]


class DeactivationBody(msgspec.Struct):
    """How the user shows that they may, which identity server to tell, and whether to erase messages."""

    auth: dict[str, Any] | None = None
    id_server: str | None = None
    erase: bool = False


class DeactivationEndpoints:
    """Ends accounts.

    Args:
        deactivation: does it.
        reauthentication: asks for the password.
    """

    def __init__(self, *, deactivation: Deactivation, reauthentication: Reauthentication) -> None:
        self._deactivation = deactivation
        self._reauthentication = reauthentication

    @endpoint(
        "POST",
        "/_matrix/client/v3/account/deactivate",
        rate_limit=RateLimit.LOGIN,
        body=DeactivationBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate",
    )
    async def deactivate(self, request: Request) -> Response:
        """End the account for good."""
        user_id = request.requester.user_id
        body: DeactivationBody = request.body
        await self._reauthentication.require(
            request.requester, "deactivate the account", body.auth, parameters=[body.erase]
        )
        unbound = await self._deactivation.deactivate(user_id, erase=body.erase, id_server=body.id_server)
        return json_response({"id_server_unbind_result": "success" if unbound else "no-support"})
