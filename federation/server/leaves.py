"""Users of other servers who leave rooms of this one, refuse invitations, or take back knocks.

Spec: https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites
"""

from federation.server.joins import template_response
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.rooms.member_entries import MemberEntries
from homeserver.rooms.member_templates import MemberTemplates

__all__ = ["LeavesEndpoints"]

_V1, _V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"


class LeavesEndpoints:
    """`…/make_leave` and `…/send_leave`.

    Args:
        templates: sketches events.
        entries: takes in the signed ones.
    """

    def __init__(self, *, templates: MemberTemplates, entries: MemberEntries) -> None:
        self._templates = templates
        self._entries = entries

    @endpoint(
        "GET",
        f"{_V1}/make_leave/{{roomId}}/{{userId}}",
        authentication=Authentication.SERVER,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_leaveroomiduserid",
    )
    async def make_leave(self, request: Request) -> Response:
        """Sketch the event by which a user would leave."""
        room_id, user_id = request.parameters["roomId"], request.parameters["userId"]
        return template_response(*await self._templates.leave(request.origin, room_id, user_id))

    @endpoint(
        "PUT",
        f"{_V2}/send_leave/{{roomId}}/{{eventId}}",
        authentication=Authentication.SERVER,
        body=dict,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2send_leaveroomideventid",
    )
    async def send_leave(self, request: Request) -> Response:
        """Let a user leave."""
        await self._left(request)
        return Response()

    @endpoint(
        "PUT",
        f"{_V1}/send_leave/{{roomId}}/{{eventId}}",
        authentication=Authentication.SERVER,
        body=dict,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_leaveroomideventid",
    )
    async def send_leave_v1(self, request: Request) -> Response:
        """Let a user leave: the same, for older servers."""
        await self._left(request)
        return Response(body=b"[200,{}]")

    async def _left(self, request: Request) -> None:
        await self._entries.leave(
            request.origin, request.parameters["roomId"], request.parameters["eventId"], request.body
        )
