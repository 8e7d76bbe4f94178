"""What guests, suspended and locked users may call, as tables of endpoints; and who was last seen with what.

Spec: https://spec.matrix.org/v1.19/client-server-api/#account-moderation and
https://spec.matrix.org/v1.19/client-server-api/#guest-access
"""

from collections.abc import Callable

from homeserver.core.errors import GuestAccessForbidden, UserSuspended
from homeserver.core.requester import Requester
from homeserver.http.endpoint import Authentication, Endpoint
from homeserver.http.request import Request

__all__ = ["AccountAdmission"]

_V3, _V1 = "/_matrix/client/v3", "/_matrix/client/v1"
_ROOM = _V3 + "/rooms/{roomId}"

_LOCKED_MAY = frozenset({("POST", _V3 + "/logout"), ("POST", _V3 + "/logout/all")})

_GUESTS_MAY = frozenset({
    ("GET", _ROOM + "/state"), ("GET", _ROOM + "/context/{eventId}"), ("GET", _ROOM + "/event/{eventId}"),
    ("GET", _ROOM + "/state/{eventType}/"),
    ("GET", _ROOM + "/state/{eventType}"), ("GET", _ROOM + "/state/{eventType}/{stateKey}"),
    ("GET", _ROOM + "/messages"), ("GET", _ROOM + "/members"), ("GET", _ROOM + "/initialSync"),
    ("GET", _V3 + "/sync"), ("GET", _V3 + "/events"),
    ("GET", _V1 + "/media/download/{serverName}/{mediaId}"),
    ("GET", _V1 + "/media/download/{serverName}/{mediaId}/{fileName}"),
    ("GET", _V1 + "/media/thumbnail/{serverName}/{mediaId}"),
    ("POST", _ROOM + "/join"), ("POST", _V3 + "/join/{roomIdOrAlias}"), ("POST", _ROOM + "/leave"),
    ("PUT", _ROOM + "/send/{eventType}/{txnId}"),
    ("PUT", _ROOM + "/state/{eventType}/"),
    ("PUT", _ROOM + "/state/{eventType}"), ("PUT", _ROOM + "/state/{eventType}/{stateKey}"),
    ("PUT", _V3 + "/sendToDevice/{eventType}/{txnId}"),
    ("PUT", _V3 + "/profile/{userId}/{keyName}"), ("DELETE", _V3 + "/profile/{userId}/{keyName}"),
    ("GET", _V3 + "/devices"), ("GET", _V3 + "/devices/{deviceId}"), ("PUT", _V3 + "/devices/{deviceId}"),
    ("GET", _V3 + "/account/whoami"),
    ("POST", _V3 + "/keys/upload"), ("POST", _V3 + "/keys/query"), ("POST", _V3 + "/keys/claim"),
    # Beyond the specification's list: what clients ask before anything else, and how they end.
    ("GET", _V3 + "/capabilities"), ("GET", _V3 + "/pushrules/"), ("GET", _V3 + "/pushrules"),
    ("POST", _V3 + "/user/{userId}/filter"), ("GET", _V3 + "/user/{userId}/filter/{filterId}"),
    ("POST", _V3 + "/logout"), ("POST", _V3 + "/logout/all"),
})  # fmt: skip

_SUSPENDED_MAY_NOT = frozenset({
    ("POST", _V3 + "/join/{roomIdOrAlias}"), ("POST", _ROOM + "/join"),
    ("POST", _V3 + "/knock/{roomIdOrAlias}"), ("POST", _ROOM + "/invite"), ("POST", _V3 + "/createRoom"),
    ("POST", _ROOM + "/upgrade"), ("POST", _ROOM + "/kick"), ("POST", _ROOM + "/ban"),
    ("POST", _ROOM + "/unban"),
    ("PUT", _ROOM + "/send/{eventType}/{txnId}"),
    ("PUT", _ROOM + "/delayed_event/{eventType}/{txnId}"),
    ("PUT", _ROOM + "/state/{eventType}/"),
    ("PUT", _ROOM + "/state/{eventType}"), ("PUT", _ROOM + "/state/{eventType}/{stateKey}"),
    ("PUT", _ROOM + "/typing/{userId}"),
    ("PUT", _V3 + "/profile/{userId}/{keyName}"), ("DELETE", _V3 + "/profile/{userId}/{keyName}"),
    ("PUT", "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}/{keyName}"),
    ("DELETE", "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}/{keyName}"),
    ("PUT", _V3 + "/directory/room/{roomAlias}"), ("DELETE", _V3 + "/directory/room/{roomAlias}"),
    ("PUT", _V3 + "/directory/list/room/{roomId}"),
    ("POST", _V3 + "/account/3pid/delete"), ("POST", _V3 + "/account/3pid/unbind"),
})  # fmt: skip


class AccountAdmission:
    """Lets in who may, and has it noted.

    Args:
        note: told of each requester, with their address and client.
    """

    def __init__(self, note: Callable[[Requester, str, str], None]) -> None:
        self._note = note

    @staticmethod
    def is_open_to_locked(endpoint: Endpoint) -> bool:
        """Whether one whose account is locked may call an endpoint."""
        return (endpoint.method, endpoint.path) in _LOCKED_MAY

    def admit(self, endpoint: Endpoint, request: Request, requester: Requester) -> None:
        """Take note of who calls an endpoint, or refuse it.

        Raises:
            GuestAccessForbidden: guests may not.
            UserSuspended: suspended users may not.
        """
        self._note(requester, request.client_address, request.headers.get("user-agent", ""))
        if not requester.is_guest and not requester.is_suspended:
            return
        named = (endpoint.method, endpoint.path)
        needs_account = endpoint.authentication is not Authentication.OPTIONAL
        if requester.is_guest and needs_account and not _guest_may(named, request):
            raise GuestAccessForbidden("Guests may not do this; register an account.")
        if requester.is_suspended and named in _SUSPENDED_MAY_NOT:
            raise UserSuspended("You cannot perform this action while suspended.")


def _guest_may(named: tuple[str, str], request: Request) -> bool:
    if named not in _GUESTS_MAY:
        return False
    return request.parameters.get("keyName", "displayname") == "displayname"
