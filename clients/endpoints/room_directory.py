"""The room directory.

Spec: https://spec.matrix.org/v1.19/client-server-api/#published-room-directory
"""

from typing import Any, Literal

import msgspec

from homeserver.core.errors import InvalidParam, NotFound
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.directory import DirectoryRequest, PublishedRooms
from homeserver.rooms.remote_directory import RemotePublishedRooms
from homeserver.rooms.shared_directory import SharedDirectory

__all__ = ["PublicRoomsBody", "RoomDirectoryEndpoints", "VisibilityBody"]

_VISIBILITY = "/_matrix/client/v3/directory/list/room/{roomId}"
_PUBLIC_ROOMS = "/_matrix/client/v3/publicRooms"
ROOMS_OF_PAGE_MAX = 500
ROOMS_OF_PAGE_DEFAULT = 100
SEARCH_TERM_CHARACTERS_MAX = 255
ROOM_TYPES_MAX = 100


class VisibilityBody(msgspec.Struct):
    """Whether the directory shall list a room."""

    visibility: Literal["public", "private"] = "public"


class DirectoryFilter(msgspec.Struct):
    """Which rooms are wanted."""

    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class PublicRoomsBody(msgspec.Struct):
    """The page of the directory that a client asks for."""

    limit: int | None = None
    since: str | None = None
    filter: DirectoryFilter | None = None
    include_all_networks: bool | None = None
    third_party_instance_id: str | None = None


class RoomDirectoryEndpoints:
    """`…/directory/list/room/{roomId}` and `…/publicRooms`.

    Args:
        published: the directory.
        elsewhere: those of other servers; None: this one speaks with no other.
        server_name: ours.
        requires_login: whether only users may read it.
        shared: what users see where no server is named; None: the same as everybody.
    """

    def __init__(
        self, *, published: PublishedRooms, elsewhere: RemotePublishedRooms | None, server_name: str,
        requires_login: bool, shared: SharedDirectory | None = None,
    ) -> None:  # fmt: skip
        self._published = published
        self._elsewhere = elsewhere
        self._server_name = server_name
        self._requires_login = requires_login
        self._shared = shared

    @endpoint(
        "GET",
        _VISIBILITY,
        authentication=Authentication.OPTIONAL,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3directorylistroomroomid",
    )
    async def get_visibility(self, request: Request) -> Response:
        """Tell whether the directory lists a room."""
        self._check_login(request)
        is_public = await self._published.is_published(request.parameters["roomId"])
        return json_response({"visibility": "public" if is_public else "private"})

    @endpoint(
        "PUT",
        _VISIBILITY,
        rate_limit=RateLimit.MESSAGE,
        body=VisibilityBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid",
    )
    async def set_visibility(self, request: Request) -> Response:
        """List a room, or list it no more."""
        is_public = request.body.visibility == "public"
        await self._published.publish(request.requester, request.parameters["roomId"], is_public=is_public)
        return json_response({})

    @endpoint(
        "GET",
        _PUBLIC_ROOMS,
        authentication=Authentication.OPTIONAL,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms",
    )
    async def get_public_rooms(self, request: Request) -> Response:
        """Read a page of the directory."""
        self._check_login(request)
        limit = request.query_integer("limit", ROOMS_OF_PAGE_DEFAULT)
        since = request.query_maybe("since") or None
        return await self._page(request, DirectoryRequest(_limit(limit), since))

    @endpoint(
        "POST",
        _PUBLIC_ROOMS,
        body=PublicRoomsBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3publicrooms",
    )
    async def query_public_rooms(self, request: Request) -> Response:
        """Look for rooms in the directory."""
        body: PublicRoomsBody = request.body
        wanted = body.filter or DirectoryFilter()
        if len(wanted.generic_search_term or "") > SEARCH_TERM_CHARACTERS_MAX:
            raise InvalidParam(f"Search for at most {SEARCH_TERM_CHARACTERS_MAX} characters.")
        if len(wanted.room_types or ()) > ROOM_TYPES_MAX:
            raise InvalidParam(f"Ask for at most {ROOM_TYPES_MAX} types of rooms.")
        if body.include_all_networks and body.third_party_instance_id:
            raise InvalidParam("Ask either for all networks or for one.")
        return await self._page(
            request,
            DirectoryRequest(
                ROOMS_OF_PAGE_DEFAULT if body.limit is None else _limit(body.limit),
                body.since or None,
                wanted.generic_search_term,
                wanted.room_types,
                body.third_party_instance_id or None,
            ),
        )

    async def _page(self, request: Request, asked: DirectoryRequest) -> Response:
        server_name = request.query_maybe("server")
        if not server_name and self._shared is not None and request.maybe_requester is not None:
            page = await self._shared.page(asked)
        elif not server_name or server_name == self._server_name:
            page = await self._published.page(asked)
        elif self._elsewhere is None:
            raise NotFound("This server speaks with no other: leave out server.")
        else:
            _ = request.requester  # others are not asked for whoever comes along
            page = await self._elsewhere.page(server_name, asked)
        answer: dict[str, Any] = {"chunk": page.chunk, "total_room_count_estimate": page.total}
        if page.next_batch is not None:
            answer["next_batch"] = page.next_batch
        if page.prev_batch is not None:
            answer["prev_batch"] = page.prev_batch
        return json_response(answer)

    def _check_login(self, request: Request) -> None:
        if self._requires_login:
            _ = request.requester  # raises where there is none


def _limit(limit: int) -> int:
    if limit < 0:
        raise InvalidParam("The limit must not be below 0.")
    # COMPAT: 0 is what some clients say for as many as the server likes.
    return min(limit, ROOMS_OF_PAGE_MAX) or ROOMS_OF_PAGE_DEFAULT
