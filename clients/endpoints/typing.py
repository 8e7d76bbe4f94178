"""Typing notifications.

Spec: https://spec.matrix.org/v1.19/client-server-api/#typing-notifications
"""

import msgspec

from homeserver.core.errors import Forbidden
from homeserver.ephemeral.typing import TIMEOUT_MS_DEFAULT, Typing
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["TypingEndpoints"]


class TypingBody(msgspec.Struct):
    """Whether the user types, and for how many milliseconds that is to be believed."""

    typing: bool
    timeout: int = TIMEOUT_MS_DEFAULT


class TypingEndpoints:
    """`…/rooms/{roomId}/typing/{userId}`."""

    def __init__(self, *, typing: Typing) -> None:
        self._typing = typing

    @endpoint(
        "PUT",
        "/_matrix/client/v3/rooms/{roomId}/typing/{userId}",
        rate_limit=RateLimit.MESSAGE,
        body=TypingBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid",
    )
    async def set_typing(self, request: Request) -> Response:
        """Say that one types, or does no more."""
        if request.parameters["userId"] != request.requester.user_id:
            raise Forbidden("You can say only of yourself that you type.")
        body = request.body
        timeout_ms = body.timeout if body.typing and body.timeout > 0 else None
        await self._typing.set(request.requester, request.parameters["roomId"], timeout_ms)
        return json_response({})
