"""Room aliases.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-aliases
"""

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.aliases import Directory
from homeserver.rooms.room_names import RoomNames

__all__ = ["AliasBody", "AliasesEndpoints"]

_PATH = "/_matrix/client/v3/directory/room/{roomAlias}"


class AliasBody(msgspec.Struct):
    """The room that an alias shall stand for."""

    room_id: str


class AliasesEndpoints:
    """`…/directory/room/{roomAlias}` and `…/rooms/{roomId}/aliases`."""

    def __init__(self, *, directory: Directory, names: RoomNames, server_name: str) -> None:
        self._directory = directory
        self._names = names
        self._server_name = server_name

    @endpoint(
        "PUT",
        _PATH,
        rate_limit=RateLimit.MESSAGE,
        body=AliasBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directoryroomroomalias",
    )
    async def set_alias(self, request: Request) -> Response:
        """Let an alias stand for a room."""
        await self._directory.create(request.requester, request.parameters["roomAlias"], request.body.room_id)
        return json_response({})

    @endpoint(
        "GET",
        _PATH,
        authentication=Authentication.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directoryroomroomalias",
    )
    async def get_alias(self, request: Request) -> Response:
        """Find the room that an alias stands for."""
        alias = request.parameters["roomAlias"]
        if not alias.startswith("#"):
            raise InvalidParam("An alias begins with #.")
        room_id, servers = await self._names.find(alias)
        return json_response({"room_id": room_id, "servers": servers or [self._server_name]})

    @endpoint(
        "DELETE",
        _PATH,
        rate_limit=RateLimit.MESSAGE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3directoryroomroomalias",
    )
    async def delete_alias(self, request: Request) -> Response:
        """Remove an alias."""
        await self._directory.delete(request.requester, request.parameters["roomAlias"])
        return json_response({})

    @endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/aliases",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidaliases",
    )
    async def get_room_aliases(self, request: Request) -> Response:
        """Read the aliases of a room."""
        aliases = await self._directory.of_room(request.requester, request.parameters["roomId"])
        return json_response({"aliases": aliases})
