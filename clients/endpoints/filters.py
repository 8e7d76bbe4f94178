"""Stored filters. Spec: https://spec.matrix.org/v1.19/client-server-api/#filtering ."""

from homeserver.core.errors import Forbidden
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.sync.filters import Filters

__all__ = ["FiltersEndpoints"]


class FiltersEndpoints:
    """`POST` and `GET …/user/{userId}/filter`."""

    def __init__(self, *, filters: Filters) -> None:
        self._filters = filters

    @endpoint(
        "POST",
        "/_matrix/client/v3/user/{userId}/filter",
        rate_limit=RateLimit.READ,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter",
    )
    async def create_filter(self, request: Request) -> Response:
        """Store a filter."""
        user_id = _own_user_id(request)
        return json_response({"filter_id": await self._filters.create(user_id, request.body)})

    @endpoint(
        "GET",
        "/_matrix/client/v3/user/{userId}/filter/{filterId}",
        rate_limit=RateLimit.READ,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid",
    )
    async def get_filter(self, request: Request) -> Response:
        """Read a stored filter."""
        user_id = _own_user_id(request)
        return Response(body=await self._filters.content(user_id, request.parameters["filterId"]))


def _own_user_id(request: Request) -> str:
    user_id = request.requester.user_id
    if request.parameters["userId"] != user_id:
        raise Forbidden("A user's filters are for that user alone.")
    return user_id
