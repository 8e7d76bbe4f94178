"""Tags on rooms.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-tagging
"""

from homeserver.accounts.tags import Tags
from homeserver.core.errors import Forbidden
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["TagsEndpoints"]

_TAGS = "/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags"
_TAG = _TAGS + "/{tag}"


class TagsEndpoints:
    """`…/user/{userId}/rooms/{roomId}/tags` and below."""

    def __init__(self, *, tags: Tags) -> None:
        self._tags = tags

    @endpoint(
        "GET",
        _TAGS,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridroomsroomidtags",
    )
    async def get_tags(self, request: Request) -> Response:
        """Read the tags on a room."""
        tags = await self._tags.of_room(_own_user_id(request), request.parameters["roomId"])
        return json_response({"tags": tags})

    @endpoint(
        "PUT",
        _TAG,
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridroomsroomidtagstag",
    )
    async def set_tag(self, request: Request) -> Response:
        """Put a tag on a room."""
        parameters = request.parameters
        await self._tags.set(_own_user_id(request), parameters["roomId"], parameters["tag"], request.body)
        return json_response({})

    @endpoint(
        "DELETE",
        _TAG,
        rate_limit=RateLimit.MESSAGE,
        spec="https://spec.matrix.org/v1.19/client-server-api/"
        "#delete_matrixclientv3useruseridroomsroomidtagstag",
    )
    async def delete_tag(self, request: Request) -> Response:
        """Take a tag off a room."""
        parameters = request.parameters
        await self._tags.delete(_own_user_id(request), parameters["roomId"], parameters["tag"])
        return json_response({})


def _own_user_id(request: Request) -> str:
    user_id = request.requester.user_id
    if request.parameters["userId"] != user_id:
        raise Forbidden("Only your own tags are yours to read and change.")
    return user_id
