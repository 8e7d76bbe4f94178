"""The endpoint that tells other servers of spaces.

Spec: https://spec.matrix.org/v1.19/server-server-api/#spaces
"""

from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.hierarchy_for_servers import HierarchyForServers

__all__ = ["HierarchyEndpoints"]


class HierarchyEndpoints:
    """`…/hierarchy/{roomId}`.

    Args:
        hierarchy: reads spaces.
    """

    def __init__(self, *, hierarchy: HierarchyForServers) -> None:
        self._hierarchy = hierarchy

    @endpoint(
        "GET", "/_matrix/federation/v1/hierarchy/{roomId}", authentication=Authentication.SERVER,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1hierarchyroomid",
    )  # fmt: skip
    async def get_hierarchy(self, request: Request) -> Response:
        """Tell a room and its children."""
        return json_response(
            await self._hierarchy.of(
                request.origin, request.parameters["roomId"],
                suggested_only=request.query_boolean("suggested_only", default=False),
            )
        )  # fmt: skip
