"""Errors that a client can be told, one class per errcode, in alphabetical order of the errcode.

Spec: https://spec.matrix.org/v1.19/client-server-api/#standard-error-response

A class says *what* went wrong; `homeserver.http.errors` alone says with which HTTP status it is told.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from homeserver.core.requester import Requester

__all__ = [
    "AliasInUse", "BadAlias", "BadJson", "BadPagination", "BadState", "CannotLeaveServerNoticeRoom",
    "Conflict", "DuplicateAnnotation", "Exclusive", "Forbidden", "GuestAccessForbidden",
    "IncompatibleRoomVersion", "InvalidParam", "InvalidRoomState", "InvalidSignature", "InvalidUsername",
    "InviteBlocked", "KeyTooLarge", "LimitExceeded", "LockedOut", "MatrixError", "MethodNotAllowed",
    "MissingParam", "MissingToken", "NotFound", "NotJson", "ProfileTooLarge", "RemoteRefused", "RoomInUse",
    "ServerNotTrusted", "SessionExpired", "ThreepidAuthFailed", "ThreepidDenied", "ThreepidInUse",
    "ThreepidMediumNotSupported", "TokenIncorrect", "TooLarge", "UnableToAuthoriseJoin",
    "UnableToGrantJoin", "Unauthorized", "Unavailable", "UnknownError", "UnknownPos", "UnknownToken",
    "Unrecognized", "UnsupportedRoomVersion", "UserDeactivated", "UserInUse", "UserLocked",
    "UserSuspended", "WeakPassword", "WrongRoomKeysVersion",
]  # fmt: skip

_NOTHING: Mapping[str, Any] = MappingProxyType({})


class MatrixError(Exception):
    """The root: an errcode, a sentence that says what to do, and the errcode's further fields."""

    errcode = "M_UNKNOWN"

    def __init__(self, error: str, **fields: Any) -> None:
        super().__init__(error)
        self.error = error
        self.fields = fields

    def body(self) -> dict[str, Any]:
        """The JSON object that the client is told."""
        return {"errcode": self.errcode, "error": self.error, **self.fields}


class BadAlias(MatrixError):
    """An alias does not stand for the room that wants to name it."""

    errcode = "M_BAD_ALIAS"


class BadJson(MatrixError):
    """Valid JSON, but not what is asked for."""

    errcode = "M_BAD_JSON"


class BadPagination(MatrixError):
    """Pagination parameters that make no sense."""

    errcode = "M_BAD_PAGINATION"


class BadState(MatrixError):
    """The change cannot be made in the present state."""

    errcode = "M_BAD_STATE"


class CannotLeaveServerNoticeRoom(MatrixError):
    """A server notices room cannot be left."""

    errcode = "M_CANNOT_LEAVE_SERVER_NOTICE_ROOM"


class DuplicateAnnotation(MatrixError):
    """The same reaction was sent before."""

    errcode = "M_DUPLICATE_ANNOTATION"


class Exclusive(MatrixError):
    """The name is reserved by an application service."""

    errcode = "M_EXCLUSIVE"


class Forbidden(MatrixError):
    """Not allowed."""

    errcode = "M_FORBIDDEN"


class GuestAccessForbidden(MatrixError):
    """Guests may not do this."""

    errcode = "M_GUEST_ACCESS_FORBIDDEN"


class IncompatibleRoomVersion(MatrixError):
    """The room's version is not one that the asking server supports."""

    errcode = "M_INCOMPATIBLE_ROOM_VERSION"


class InvalidParam(MatrixError):
    """A parameter has a value that it cannot have."""

    errcode = "M_INVALID_PARAM"


class InvalidRoomState(MatrixError):
    """The initial state of a new room is refused."""

    errcode = "M_INVALID_ROOM_STATE"


class InvalidSignature(MatrixError):
    """A signature is missing, or not that of who should have signed."""

    errcode = "M_INVALID_SIGNATURE"


class InvalidUsername(MatrixError):
    """Not a user name."""

    errcode = "M_INVALID_USERNAME"


class InviteBlocked(MatrixError):
    """The user wants no invites."""

    errcode = "M_INVITE_BLOCKED"


class KeyTooLarge(MatrixError):
    """A profile key over 255 bytes."""

    errcode = "M_KEY_TOO_LARGE"


class LimitExceeded(MatrixError):
    """Too many requests; carries `retry_after_ms`."""

    errcode = "M_LIMIT_EXCEEDED"


class MissingParam(MatrixError):
    """A required parameter is absent."""

    errcode = "M_MISSING_PARAM"


class MissingToken(MatrixError):
    """No access token was given."""

    errcode = "M_MISSING_TOKEN"


class NotFound(MatrixError):
    """No such thing, or not for this user."""

    errcode = "M_NOT_FOUND"


class NotJson(MatrixError):
    """The body is no JSON."""

    errcode = "M_NOT_JSON"


class ProfileTooLarge(MatrixError):
    """A profile over 64 KiB."""

    errcode = "M_PROFILE_TOO_LARGE"


class RoomInUse(MatrixError):
    """The alias of a new room is taken."""

    errcode = "M_ROOM_IN_USE"


class ServerNotTrusted(MatrixError):
    """The client names another server, such as an identity server, that this one does not trust."""

    errcode = "M_SERVER_NOT_TRUSTED"


class SessionExpired(MatrixError):
    """The validation of an address took too long, or too many tries; begin again."""

    errcode = "M_SESSION_EXPIRED"


class ThreepidAuthFailed(MatrixError):
    """An address was not shown to be the user's."""

    errcode = "M_THREEPID_AUTH_FAILED"


class ThreepidDenied(MatrixError):
    """An address of a kind that this server does not take."""

    errcode = "M_THREEPID_DENIED"


class ThreepidInUse(MatrixError):
    """Another account has the address."""

    errcode = "M_THREEPID_IN_USE"


class ThreepidMediumNotSupported(MatrixError):
    """This server adds no addresses of that kind."""

    errcode = "M_THREEPID_MEDIUM_NOT_SUPPORTED"


class TokenIncorrect(MatrixError):
    """What was sent to an address is something else."""

    errcode = "M_TOKEN_INCORRECT"


class TooLarge(MatrixError):
    """A body or event over the limit."""

    errcode = "M_TOO_LARGE"


class UnableToAuthoriseJoin(MatrixError):
    """Whether the conditions of a restricted room are met is not known here; another server may know."""

    errcode = "M_UNABLE_TO_AUTHORISE_JOIN"


class UnableToGrantJoin(MatrixError):
    """The conditions of a restricted room are met, but nobody here may let the user in."""

    errcode = "M_UNABLE_TO_GRANT_JOIN"


class Unauthorized(MatrixError):
    """A request does not show that it comes from the server it says it comes from."""

    errcode = "M_UNAUTHORIZED"


class RemoteRefused(MatrixError):
    """Another server answered, and it answered no.

    Attributes:
        status: of its answer, 400 to 499.
        errcode: as it says; M_UNKNOWN if it says none.
        answer: what it answered, as it came; empty if that was no object.
    """

    # What a client would take for an answer about its own session.
    _ABOUT_SESSIONS = frozenset((
        "M_MISSING_TOKEN", "M_UNKNOWN_TOKEN", "M_USER_DEACTIVATED", "M_USER_LOCKED", "M_USER_SUSPENDED",
    ))  # fmt: skip

    def __init__(self, status: int, errcode: str, error: str, body: Mapping[str, Any] = _NOTHING) -> None:
        super().__init__(error)
        self.status = status
        self.errcode = errcode
        self.answer = body

    @property
    def is_fit_for_clients(self) -> bool:
        """Whether a client of ours may be told the same: not if it would take it for a word about itself."""
        return self.status in {400, 403, 404, 413} and self.errcode not in self._ABOUT_SESSIONS

    def body(self) -> dict[str, Any]:
        """The JSON object that the client is told."""
        errcode = self.errcode if self.is_fit_for_clients else "M_UNKNOWN"
        return {"errcode": errcode, "error": f"The other server says: {self.error}"}


class UnknownError(MatrixError):
    """What has no errcode of its own."""

    errcode = "M_UNKNOWN"


class AliasInUse(MatrixError):
    """A room alias is mapped already."""

    errcode = "M_UNKNOWN"


class Conflict(MatrixError):
    """What the client saw is no longer so; look again."""

    errcode = "M_UNKNOWN"


class Unavailable(MatrixError):
    """The server cannot do this just now; the same request may be tried again."""

    errcode = "M_UNKNOWN"


class UnknownPos(MatrixError):
    """A position of a sliding sync that this server gave to nobody, or does not remember: begin again."""

    errcode = "M_UNKNOWN_POS"


class UnknownToken(MatrixError):
    """The access token is not (or no longer) valid; `soft_logout` says whether the session lives on."""

    errcode = "M_UNKNOWN_TOKEN"


class Unrecognized(MatrixError):
    """No such endpoint."""

    errcode = "M_UNRECOGNIZED"


class MethodNotAllowed(MatrixError):
    """The endpoint does not have this method."""

    errcode = "M_UNRECOGNIZED"


class UnsupportedRoomVersion(MatrixError):
    """A room version that this server does not have."""

    errcode = "M_UNSUPPORTED_ROOM_VERSION"


class UserDeactivated(MatrixError):
    """The account is deactivated."""

    errcode = "M_USER_DEACTIVATED"


class UserInUse(MatrixError):
    """The user name is taken."""

    errcode = "M_USER_IN_USE"


class UserLocked(MatrixError):
    """The account is locked."""

    errcode = "M_USER_LOCKED"


class LockedOut(UserLocked):
    """The account of who asks is locked.

    Args:
        requester: who asks; logging out is open to them.
    """

    def __init__(self, requester: Requester) -> None:
        super().__init__("This account has been locked.", soft_logout=True)
        self.requester = requester


class UserSuspended(MatrixError):
    """The account is suspended."""

    errcode = "M_USER_SUSPENDED"


class WeakPassword(MatrixError):
    """The password is too easy."""

    errcode = "M_WEAK_PASSWORD"


class WrongRoomKeysVersion(MatrixError):
    """Keys were sent for a backup that is not the latest one; carries `current_version`."""

    errcode = "M_WRONG_ROOM_KEYS_VERSION"
