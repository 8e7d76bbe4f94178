"""The summary of a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-summaries
"""

from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.room_summary import SummaryReader

__all__ = ["RoomSummaryEndpoints"]


class RoomSummaryEndpoints:
    """`…/room_summary/{roomIdOrAlias}`.

    Args:
        summaries: reads summaries.
        requires_login: whether only users may.
    """

    def __init__(self, *, summaries: SummaryReader, requires_login: bool) -> None:
        self._summaries = summaries
        self._requires_login = requires_login

    @endpoint(
        "GET",
        "/_matrix/client/v1/room_summary/{roomIdOrAlias}",
        # COMPAT: where it was before v1.15 of the specification, as clients still ask for it.
        "/_matrix/client/unstable/im.nheko.summary/summary/{roomIdOrAlias}",
        "/_matrix/client/unstable/im.nheko.summary/rooms/{roomIdOrAlias}/summary",
        authentication=Authentication.OPTIONAL,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias",
    )
    async def get_room_summary(self, request: Request) -> Response:
        """Read the summary of a room."""
        requester = request.requester if self._requires_login else request.maybe_requester
        room, via = request.parameters["roomIdOrAlias"], request.query.get("via", [])
        return json_response(await self._summaries.read(requester, room, via))
