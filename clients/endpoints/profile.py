"""Profiles of users."""

from typing import Any

from homeserver.accounts.profile import ProfileChanges, Profiles
from homeserver.core.errors import Forbidden, InvalidParam, MissingParam, NotFound
from homeserver.core.identifiers import parse_user_id
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["ProfileEndpoints"]

_FIELD = "/_matrix/client/v3/profile/{userId}/{keyName}"
# COMPAT: clients that were written before v1.16 call the fields of others than displayname and avatar_url so.
_UNSTABLE_FIELD = "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}/{keyName}"


class ProfileEndpoints:
    """Shows profiles, and lets users change their own."""

    def __init__(self, *, profiles: Profiles, changes: ProfileChanges) -> None:
        self._profiles = profiles
        self._changes = changes

    @endpoint(
        "GET",
        "/_matrix/client/v3/profile/{userId}",
        authentication=Authentication.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuserid",
    )
    async def get_profile(self, request: Request) -> Response:
        """Tell every field of a profile."""
        return json_response(await self._profiles.show(_user_id(request)))

    @endpoint(
        "GET",
        _FIELD,
        _UNSTABLE_FIELD,
        authentication=Authentication.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3profileuseridkeyname",
    )
    async def get_field(self, request: Request) -> Response:
        """Tell one field of a profile."""
        key = request.parameters["keyName"]
        profile = await self._profiles.show(_user_id(request))
        if key not in profile:
            raise NotFound(f"The profile has no field {key}.")
        return json_response({key: profile[key]})

    @endpoint(
        "PUT",
        _FIELD,
        _UNSTABLE_FIELD,
        rate_limit=RateLimit.PROFILE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3profileuseridkeyname",
    )
    async def set_field(self, request: Request) -> Response:
        """Set one field of one's own profile."""
        user_id, key = _own_user_id(request), request.parameters["keyName"]
        body: dict[str, Any] = request.body
        if key not in body:
            raise MissingParam(f"The body must have the property {key}.")
        await self._changes.set_field(user_id, key, body[key])
        return json_response({})

    @endpoint(
        "DELETE",
        _FIELD,
        _UNSTABLE_FIELD,
        rate_limit=RateLimit.PROFILE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3profileuseridkeyname",
    )
    async def delete_field(self, request: Request) -> Response:
        """Remove one field of one's own profile."""
        await self._changes.delete_field(_own_user_id(request), request.parameters["keyName"])
        return json_response({})


def _user_id(request: Request) -> str:
    user_id = request.parameters["userId"]
    try:
        parse_user_id(user_id)
    except ValueError as error:
        raise InvalidParam(str(error)) from None
    return user_id


def _own_user_id(request: Request) -> str:
    user_id = _user_id(request)
    if user_id != request.requester.user_id:
        raise Forbidden("Only your own profile is yours to change.")
    return user_id
