"""The one table that says with which HTTP status each error is told.

Spec: https://spec.matrix.org/v1.19/client-server-api/#standard-error-response
"""

from collections.abc import Mapping
from types import MappingProxyType

import orjson

from homeserver.core import errors
from homeserver.http.response import Response

__all__ = ["STATUS", "error_response", "status_of"]

STATUS: Mapping[type[errors.MatrixError], int] = MappingProxyType({
    errors.AliasInUse: 409,
    errors.BadAlias: 400,
    errors.BadJson: 400,
    errors.BadPagination: 400,
    errors.BadState: 400,
    errors.CannotLeaveServerNoticeRoom: 403,
    errors.Conflict: 409,
    errors.DuplicateAnnotation: 400,
    errors.Exclusive: 400,
    errors.Forbidden: 403,
    errors.GuestAccessForbidden: 403,
    errors.IncompatibleRoomVersion: 400,
    errors.InvalidParam: 400,
    errors.InvalidRoomState: 400,
    errors.InvalidSignature: 400,
    errors.InvalidUsername: 400,
    errors.InviteBlocked: 403,
    errors.KeyTooLarge: 400,
    errors.LimitExceeded: 429,
    errors.LockedOut: 401,
    errors.MatrixError: 500,
    errors.MethodNotAllowed: 405,
    errors.MissingParam: 400,
    errors.MissingToken: 401,
    errors.NotFound: 404,
    errors.NotJson: 400,
    errors.ProfileTooLarge: 400,
    errors.RemoteRefused: 502,
    errors.RoomInUse: 400,
    errors.ServerNotTrusted: 400,
    errors.SessionExpired: 400,
    errors.ThreepidAuthFailed: 403,
    errors.ThreepidDenied: 403,
    errors.ThreepidInUse: 400,
    errors.ThreepidMediumNotSupported: 400,
    errors.TokenIncorrect: 400,
    errors.TooLarge: 413,
    errors.UnableToAuthoriseJoin: 400,
    errors.UnableToGrantJoin: 400,
    errors.Unauthorized: 401,
    errors.Unavailable: 503,
    errors.UnknownError: 400,
    errors.UnknownPos: 400,
    errors.UnknownToken: 401,
    errors.Unrecognized: 404,
    errors.UnsupportedRoomVersion: 400,
    errors.UserDeactivated: 403,
    errors.UserInUse: 400,
    errors.UserLocked: 401,
    errors.UserSuspended: 403,
    errors.WeakPassword: 400,
    errors.WrongRoomKeysVersion: 403,
})  # fmt: skip


def status_of(error: errors.MatrixError) -> int:
    """The HTTP status with which `error` is told.

    An error that another layer derives may carry a `status` of its own, as the 401 of user-interactive
    authentication does; otherwise it takes that of the class it is derived from.
    """
    own: object = getattr(error, "status", None)
    # Of what another server says, only what a client does not take for a word about its own session.
    if isinstance(own, int) and getattr(error, "is_fit_for_clients", True):
        return own
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    raise AssertionError("the root of the errors is in the table")


def error_response(error: errors.MatrixError) -> Response:
    """What the client is told of `error`."""
    headers: dict[str, str] = {}
    retry_after_ms = error.fields.get("retry_after_ms")
    if isinstance(retry_after_ms, int):
        # COMPAT: before v1.10 of the specification there was only the field in the body.
        headers["Retry-After"] = str(-(-retry_after_ms // 1000))
    return Response(status_of(error), orjson.dumps(error.body()), headers=headers)
