"""The rooms of a space.

Spec: https://spec.matrix.org/v1.19/client-server-api/#discovering-rooms-within-spaces
"""

from typing import Any

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.hierarchy import HierarchyRequest, SpaceHierarchy

__all__ = ["SpaceHierarchyEndpoints"]

ROOMS_OF_PAGE_MAX = 50
DEPTH_MAX = 100


class SpaceHierarchyEndpoints:
    """`…/rooms/{roomId}/hierarchy`."""

    def __init__(self, *, hierarchy: SpaceHierarchy) -> None:
        self._hierarchy = hierarchy

    @endpoint(
        "GET",
        "/_matrix/client/v1/rooms/{roomId}/hierarchy",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy",
    )
    async def get_hierarchy(self, request: Request) -> Response:
        """Read a page of a walk over a space."""
        page = await self._hierarchy.page(
            request.requester,
            HierarchyRequest(
                request.parameters["roomId"],
                request.query_boolean("suggested_only", default=False),
                request.query_integer("max_depth", DEPTH_MAX, at_most=DEPTH_MAX),
                request.query_integer("limit", ROOMS_OF_PAGE_MAX, at_least=1, at_most=ROOMS_OF_PAGE_MAX),
                request.query_maybe("from") or None,
            ),
        )
        answer: dict[str, Any] = {"rooms": page.rooms}
        if page.next_batch is not None:
            answer["next_batch"] = page.next_batch
        return json_response(answer)
