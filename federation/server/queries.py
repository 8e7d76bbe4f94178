"""Endpoints that tell other servers of users and aliases of this one.

Spec: https://spec.matrix.org/v1.19/server-server-api/#querying-for-information
"""

from homeserver.accounts.profile import Profiles
from homeserver.core.errors import InvalidParam
from homeserver.core.identifiers import parse_user_id
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.aliases import Directory
from homeserver.rooms.room_servers import RoomServers

__all__ = ["QueriesEndpoints"]

SERVERS_MAX = 50


class QueriesEndpoints:
    """`…/query/profile` and `…/query/directory`.

    Args:
        profiles: of our users.
        directory: aliases of ours.
        room_servers: who is in the room of an alias.
        server_name: of this server.
    """

    def __init__(
        self, *, profiles: Profiles, directory: Directory, room_servers: RoomServers, server_name: str
    ) -> None:
        self._profiles = profiles
        self._directory = directory
        self._room_servers = room_servers
        self._server_name = server_name

    @endpoint(
        "GET", "/_matrix/federation/v1/query/profile", authentication=Authentication.SERVER,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile",
    )  # fmt: skip
    async def get_profile(self, request: Request) -> Response:
        """Tell the profile of a user of this server, or one field of it."""
        user_id = request.query_text("user_id")
        try:
            server_name = parse_user_id(user_id).server_name
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if server_name != self._server_name:
            raise InvalidParam("That is no user of this server.")
        profile = await self._profiles.get(user_id)
        key = request.query_maybe("field")
        if key:
            profile = {key: profile[key]} if key in profile else {}
        return json_response(profile)

    @endpoint(
        "GET", "/_matrix/federation/v1/query/directory", authentication=Authentication.SERVER,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory",
    )  # fmt: skip
    async def get_room_of_alias(self, request: Request) -> Response:
        """Tell which room an alias of this server stands for, and who is in it."""
        alias = request.query_text("room_alias")
        self._directory.check(alias)
        room_id = await self._directory.find(alias)
        others = sorted(await self._room_servers.joined(room_id))
        return json_response({"room_id": room_id, "servers": [self._server_name, *others[: SERVERS_MAX - 1]]})
