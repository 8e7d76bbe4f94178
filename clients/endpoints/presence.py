"""Presence.

Spec: https://spec.matrix.org/v1.19/client-server-api/#presence
"""

from typing import Any, Literal

import msgspec

from homeserver.core.errors import Forbidden
from homeserver.ephemeral.presence import Presence
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["PresenceEndpoints"]


class PresenceBody(msgspec.Struct):
    """How the user is, and what the user says of it."""

    presence: Literal["online", "unavailable", "offline"]
    status_msg: str | None = None


class PresenceEndpoints:
    """`…/presence/{userId}/status`.

    Args:
        presence: None: it is switched off.
    """

    def __init__(self, *, presence: Presence | None) -> None:
        self._presence = presence

    @endpoint(
        "PUT",
        "/_matrix/client/v3/presence/{userId}/status",
        rate_limit=RateLimit.PROFILE,
        body=PresenceBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3presenceuseridstatus",
    )
    async def set_presence(self, request: Request) -> Response:
        """Say how one is. Where presence is off, it is heard and forgotten."""
        if request.parameters["userId"] != request.requester.user_id:
            raise Forbidden("You can set only your own presence.")
        if self._presence is not None:
            body = request.body
            await self._presence.set(request.requester, body.presence, body.status_msg)
        return json_response({})

    @endpoint(
        "GET",
        "/_matrix/client/v3/presence/{userId}/status",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3presenceuseridstatus",
    )
    async def get_presence(self, request: Request) -> Response:
        """Tell how somebody is with whom one shares a room. Where presence is off, everybody is offline."""
        if self._presence is None:
            return json_response({"presence": "offline"})
        view = await self._presence.get(request.requester, request.parameters["userId"])
        answer: dict[str, Any] = {"presence": view.presence, "currently_active": view.currently_active}
        if view.last_active_ago_ms is not None:
            answer["last_active_ago"] = view.last_active_ago_ms
        if view.status_msg is not None:
            answer["status_msg"] = view.status_msg
        return json_response(answer)
