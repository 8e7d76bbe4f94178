"""Users of other servers who knock on rooms of this one.

Spec: https://spec.matrix.org/v1.19/server-server-api/#knocking-rooms
"""

from federation.server.joins import template_response, versions_of
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.member_entries import MemberEntries
from homeserver.rooms.member_templates import MemberTemplates

__all__ = ["KnocksEndpoints"]

_V1 = "/_matrix/federation/v1"


class KnocksEndpoints:
    """`…/make_knock` and `…/send_knock`.

    Args:
        templates: sketches events.
        entries: takes in the signed ones.
    """

    def __init__(self, *, templates: MemberTemplates, entries: MemberEntries) -> None:
        self._templates = templates
        self._entries = entries

    @endpoint(
        "GET",
        f"{_V1}/make_knock/{{roomId}}/{{userId}}",
        authentication=Authentication.SERVER,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1make_knockroomiduserid",
    )
    async def make_knock(self, request: Request) -> Response:
        """Sketch the event by which a user would knock."""
        room_id, user_id = request.parameters["roomId"], request.parameters["userId"]
        template, version = await self._templates.knock(
            request.origin, room_id, user_id, versions_of(request)
        )
        return template_response(template, version)

    @endpoint(
        "PUT",
        f"{_V1}/send_knock/{{roomId}}/{{eventId}}",
        authentication=Authentication.SERVER,
        body=dict,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1send_knockroomideventid",
    )
    async def send_knock(self, request: Request) -> Response:
        """Let a user knock; answers with what they may know of the room."""
        told = await self._entries.knock(
            request.origin, request.parameters["roomId"], request.parameters["eventId"], request.body
        )
        return json_response({"knock_room_state": told})
