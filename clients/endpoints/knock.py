"""Knocking on rooms.

Spec: https://spec.matrix.org/v1.19/client-server-api/#knocking-on-rooms
"""

from clients.endpoints.membership import JOIN_TIMEOUT_MS, ReasonBody, servers_named
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.knock import Knocking

__all__ = ["KnockEndpoints"]


class KnockEndpoints:
    """`…/knock/{roomIdOrAlias}`."""

    def __init__(self, *, knocking: Knocking) -> None:
        self._knocking = knocking

    @endpoint(
        "POST",
        "/_matrix/client/v3/knock/{roomIdOrAlias}",
        rate_limit=RateLimit.JOIN,
        timeout_ms_max=JOIN_TIMEOUT_MS,
        body=ReasonBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3knockroomidoralias",
    )
    async def knock_room(self, request: Request) -> Response:
        """Ask to be let into a room; if it is not here, by way of the servers that are named."""
        room_id = await self._knocking.knock(
            request.requester, request.parameters["roomIdOrAlias"], request.body.reason,
            via=servers_named(request),
        )  # fmt: skip
        return json_response({"room_id": room_id})
