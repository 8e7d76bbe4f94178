"""Account data.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-config
"""

from homeserver.accounts.account_data import AccountData
from homeserver.core.errors import Forbidden
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["AccountDataEndpoints"]

_GLOBAL = "/user/{userId}/account_data/{type}"
_OF_ROOM = "/user/{userId}/rooms/{roomId}/account_data/{type}"
_V3 = "/_matrix/client/v3"
# MSC3391, not in the specification yet: clients know that it is there by `/versions`. It also wants a PUT of
# `{}` to delete; here that stays `{}`, as the specification has it.
_DELETE = "/_matrix/client/unstable/org.matrix.msc3391"


class AccountDataEndpoints:
    """`…/user/{userId}/account_data/{type}`, and the same for a room."""

    def __init__(self, *, account_data: AccountData) -> None:
        self._account_data = account_data

    @endpoint(
        "GET",
        _V3 + _GLOBAL,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridaccount_datatype",
    )
    async def get_global(self, request: Request) -> Response:
        """Read global account data of one type."""
        return await self._get(request)

    @endpoint(
        "PUT",
        _V3 + _GLOBAL,
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype",
    )
    async def set_global(self, request: Request) -> Response:
        """Set global account data of one type."""
        return await self._set(request)

    @endpoint(
        "DELETE",
        _DELETE + _GLOBAL,
        rate_limit=RateLimit.MESSAGE,
        spec="https://github.com/matrix-org/matrix-spec-proposals/pull/3391",
    )
    async def delete_global(self, request: Request) -> Response:
        """Delete global account data of one type."""
        return await self._delete(request)

    @endpoint(
        "GET",
        _V3 + _OF_ROOM,
        spec="https://spec.matrix.org/v1.19/client-server-api/"
        "#get_matrixclientv3useruseridroomsroomidaccount_datatype",
    )
    async def get_of_room(self, request: Request) -> Response:
        """Read account data of one type for a room."""
        return await self._get(request)

    @endpoint(
        "PUT",
        _V3 + _OF_ROOM,
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/"
        "#put_matrixclientv3useruseridroomsroomidaccount_datatype",
    )
    async def set_of_room(self, request: Request) -> Response:
        """Set account data of one type for a room."""
        return await self._set(request)

    @endpoint(
        "DELETE",
        _DELETE + _OF_ROOM,
        rate_limit=RateLimit.MESSAGE,
        spec="https://github.com/matrix-org/matrix-spec-proposals/pull/3391",
    )
    async def delete_of_room(self, request: Request) -> Response:
        """Delete account data of one type for a room."""
        return await self._delete(request)

    async def _get(self, request: Request) -> Response:
        return Response(body=await self._account_data.get(_own_user_id(request), *_what(request)))

    async def _set(self, request: Request) -> Response:
        type_, room_id = _what(request)
        await self._account_data.set(_own_user_id(request), type_, request.body, room_id)
        return json_response({})

    async def _delete(self, request: Request) -> Response:
        await self._account_data.delete(_own_user_id(request), *_what(request))
        return json_response({})


def _what(request: Request) -> tuple[str, str | None]:
    return request.parameters["type"], request.parameters.get("roomId")


def _own_user_id(request: Request) -> str:
    user_id = request.requester.user_id
    if request.parameters["userId"] != user_id:
        raise Forbidden("Only your own account data is yours to read and change.")
    return user_id
