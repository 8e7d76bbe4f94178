"""Who is in a room, and in which rooms one is.

Spec: https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room
"""

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_list, json_response
from homeserver.rooms.history import position_of
from homeserver.rooms.members import Members

__all__ = ["MembersEndpoints"]

_MEMBERSHIPS = ("join", "invite", "knock", "leave", "ban")


class MembersEndpoints:
    """`…/members`, `…/joined_members` and `…/joined_rooms`."""

    def __init__(self, *, members: Members) -> None:
        self._members = members

    @endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/members",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmembers",
    )
    async def get_members(self, request: Request) -> Response:
        """Read the member events of a room."""
        at = request.query_maybe("at")
        chunk = await self._members.member_events(
            request.requester,
            request.parameters["roomId"],
            at=position_of(at) if at else None,
            membership=_membership(request, "membership"),
            not_membership=_membership(request, "not_membership"),
        )
        return Response(body=json_list(b'{"chunk":[', chunk, b"]}"))

    @endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/joined_members",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidjoined_members",
    )
    async def get_joined_members(self, request: Request) -> Response:
        """Read who is in a room, with name and avatar."""
        joined = await self._members.joined_members(request.requester, request.parameters["roomId"])
        return Response(body=json_list(b'{"joined":{', joined, b"}}"))

    @endpoint(
        "GET",
        "/_matrix/client/v3/joined_rooms",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3joined_rooms",
    )
    async def get_joined_rooms(self, request: Request) -> Response:
        """Read the rooms that the user is in."""
        return json_response({"joined_rooms": await self._members.joined_rooms(request.requester.user_id)})


def _membership(request: Request, name: str) -> str | None:
    value = request.query_maybe(name)
    if value is not None and value not in _MEMBERSHIPS:
        raise InvalidParam(f"The query parameter {name} must be one of {', '.join(_MEMBERSHIPS)}.")
    return value
