"""Endpoints that tell other servers of the rooms that this one publishes.

Spec: https://spec.matrix.org/v1.19/server-server-api/#published-room-directory
"""

from typing import Any

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.directory import DirectoryRequest, PublishedRooms

__all__ = ["PublicRoomsForServers"]

_PATH = "/_matrix/federation/v1/publicRooms"
ROOMS_OF_PAGE_MAX = 200
ROOMS_OF_PAGE_DEFAULT = 100
SEARCH_TERM_CHARACTERS_MAX = 255
ROOM_TYPES_MAX = 100


class ServersFilter(msgspec.Struct):
    """Which rooms are wanted."""

    generic_search_term: str | None = None
    room_types: list[str | None] | None = None


class PublicRoomsQuery(msgspec.Struct):
    """The page that a server asks for."""

    limit: int | None = None
    since: str | None = None
    filter: ServersFilter | None = None
    include_all_networks: bool | None = None
    third_party_instance_id: str | None = None


class PublicRoomsForServers:
    """`…/publicRooms`.

    Args:
        published: the directory.
    """

    def __init__(self, *, published: PublishedRooms) -> None:
        self._published = published

    @endpoint(
        "GET", _PATH, authentication=Authentication.SERVER,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1publicrooms",
    )  # fmt: skip
    async def get_public_rooms(self, request: Request) -> Response:
        """Tell a page of the directory."""
        limit = request.query_integer("limit", ROOMS_OF_PAGE_DEFAULT)
        network = request.query_maybe("third_party_instance_id") or None
        since = request.query_maybe("since") or None
        return await self._page(DirectoryRequest(_limit(limit), since, network=network))

    @endpoint(
        "POST", _PATH, authentication=Authentication.SERVER, body=PublicRoomsQuery,
        spec="https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1publicrooms",
    )  # fmt: skip
    async def query_public_rooms(self, request: Request) -> Response:
        """Look for rooms in the directory."""
        body: PublicRoomsQuery = request.body
        wanted = body.filter or ServersFilter()
        if len(wanted.generic_search_term or "") > SEARCH_TERM_CHARACTERS_MAX:
            raise InvalidParam(f"Search for at most {SEARCH_TERM_CHARACTERS_MAX} characters.")
        if len(wanted.room_types or ()) > ROOM_TYPES_MAX:
            raise InvalidParam(f"Ask for at most {ROOM_TYPES_MAX} types of rooms.")
        return await self._page(
            DirectoryRequest(
                ROOMS_OF_PAGE_DEFAULT if body.limit is None else _limit(body.limit), body.since or None,
                wanted.generic_search_term, wanted.room_types, body.third_party_instance_id or None,
            )
        )  # fmt: skip

    async def _page(self, request: DirectoryRequest) -> Response:
        page = await self._published.page(request)
        answer: dict[str, Any] = {"chunk": page.chunk, "total_room_count_estimate": page.total}
        if page.next_batch is not None:
            answer["next_batch"] = page.next_batch
        if page.prev_batch is not None:
            answer["prev_batch"] = page.prev_batch
        return json_response(answer)


def _limit(limit: int) -> int:
    if limit < 0:
        raise InvalidParam("The limit must not be below 0.")
    return min(limit, ROOMS_OF_PAGE_MAX) or ROOMS_OF_PAGE_DEFAULT
