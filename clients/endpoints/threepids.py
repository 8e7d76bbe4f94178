"""The e-mail addresses and phone numbers of whoever asks."""

from typing import Any

import msgspec

from homeserver.accounts.addresses import canonical_address
from homeserver.accounts.identity_servers import IdentityServers
from homeserver.accounts.reauthentication import Reauthentication
from homeserver.accounts.threepids import Threepids
from homeserver.core.requester import Requester
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["AddBody", "AddressBody", "BindBody", "OlderBindBody", "ThreepidsEndpoints"]

_API = "https://spec.matrix.org/v1.19/client-server-api/"
_3PID = "/_matrix/client/v3/account/3pid"


class AddBody(msgspec.Struct):
    """Which validated address to add, and how the user shows that they may."""

    sid: str
    client_secret: str
    auth: dict[str, Any] | None = None


class BindBody(msgspec.Struct):
    """Which validated address to bind, and at which identity server."""

    sid: str
    client_secret: str
    id_server: str
    id_access_token: str


class OlderBindBody(msgspec.Struct):
    """The same, as clients sent it at first."""

    three_pid_creds: BindBody


class AddressBody(msgspec.Struct):
    """An address, and which identity server is to forget it; None: the one that was told of it."""

    medium: str
    address: str
    id_server: str | None = None


class ThreepidsEndpoints:
    """Lists, adds and removes addresses.

    Args:
        threepids: keeps them.
        reauthentication: asks for the password before one is added: by an address a password can be reset.
        identity_servers: tell others of addresses.
    """

    def __init__(
        self, *, threepids: Threepids, reauthentication: Reauthentication, identity_servers: IdentityServers
    ) -> None:
        self._threepids = threepids
        self._reauthentication = reauthentication
        self._identity_servers = identity_servers

    @endpoint("GET", _3PID, spec=_API + "#get_matrixclientv3account3pid")
    async def list_threepids(self, request: Request) -> Response:
        """List the addresses of the account."""
        rows = await self._threepids.of_user(request.requester.user_id)
        listed = [
            {
                "medium": row.medium, "address": row.address, "validated_at": row.validated_ms,
                "added_at": row.added_ms,
            }
            for row in rows
        ]  # fmt: skip
        return json_response({"threepids": listed})

    @endpoint(
        "POST", _3PID + "/add", rate_limit=RateLimit.PROFILE, body=AddBody,
        spec=_API + "#post_matrixclientv3account3pidadd",
    )  # fmt: skip
    async def add_threepid(self, request: Request) -> Response:
        """Add an address that was validated."""
        body: AddBody = request.body
        return await self._add(request.requester, body.sid, body.client_secret, body.auth)

    @endpoint(
        "POST", _3PID + "/delete", rate_limit=RateLimit.PROFILE, body=AddressBody,
        spec=_API + "#post_matrixclientv3account3piddelete",
    )  # fmt: skip
    async def delete_threepid(self, request: Request) -> Response:
        """Take an address from the account."""
        body: AddressBody = request.body
        address = canonical_address(body.medium, body.address)
        user_id = request.requester.user_id
        await self._threepids.delete(user_id, body.medium, address)
        # The account does not have it any more, whatever an identity server says.
        unbound = await self._identity_servers.try_unbind(user_id, body.medium, address, body.id_server)
        return _unbind_result(is_unbound=unbound)

    @endpoint(
        "POST", _3PID + "/bind", rate_limit=RateLimit.PROFILE, body=BindBody,
        spec=_API + "#post_matrixclientv3account3pidbind",
    )  # fmt: skip
    async def bind_threepid(self, request: Request) -> Response:
        """Have an identity server tell others of an address that was validated there."""
        return await self._bind(request.requester.user_id, request.body)

    @endpoint(
        "POST", _3PID, rate_limit=RateLimit.PROFILE, body=OlderBindBody,
        spec=_API + "#post_matrixclientv3account3pid",
    )  # fmt: skip
    async def bind_threepid_as_before(self, request: Request) -> Response:
        """Do the same for older clients: the specification has it as deprecated."""
        body: OlderBindBody = request.body
        return await self._bind(request.requester.user_id, body.three_pid_creds)

    @endpoint(
        "POST", _3PID + "/unbind", rate_limit=RateLimit.PROFILE, body=AddressBody,
        spec=_API + "#post_matrixclientv3account3pidunbind",
    )  # fmt: skip
    async def unbind_threepid(self, request: Request) -> Response:
        """Have an identity server forget an address that stays with the account."""
        body: AddressBody = request.body
        address = canonical_address(body.medium, body.address)
        user_id = request.requester.user_id
        unbound = await self._identity_servers.unbind(user_id, body.medium, address, body.id_server)
        return _unbind_result(is_unbound=unbound)

    async def _bind(self, user_id: str, creds: BindBody) -> Response:
        await self._identity_servers.bind(
            user_id, creds.id_server, creds.id_access_token, creds.sid, creds.client_secret
        )
        return json_response({})

    async def _add(self, requester: Requester, sid: str, client_secret: str, auth: object) -> Response:
        await self._reauthentication.require(requester, "add an address", auth, parameters=[sid])
        await self._threepids.add(requester.user_id, sid, client_secret)
        return json_response({})


def _unbind_result(*, is_unbound: bool) -> Response:
    return json_response({"id_server_unbind_result": "success" if is_unbound else "no-support"})
