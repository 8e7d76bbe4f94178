"""Endpoints for the devices and keys of users of this server.

Spec: https://spec.matrix.org/v1.19/server-server-api/#device-management
"""

from typing import Any

import msgspec

from homeserver.core.errors import Forbidden, InvalidParam
from homeserver.core.identifiers import parse_user_id
from homeserver.e2ee.device_keys import DeviceKeys
from homeserver.e2ee.one_time_keys import DEVICES_PER_CLAIM_MAX, OneTimeKeys
from homeserver.e2ee.sharing import Sharing
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["DeviceKeysForServers"]

_SPEC = "https://spec.matrix.org/v1.19/server-server-api/"


class KeysQuery(msgspec.Struct):
    """The body of a query."""

    device_keys: dict[str, list[str] | None]


class KeysClaim(msgspec.Struct):
    """The body of a claim."""

    one_time_keys: dict[str, dict[str, str]]


class DeviceKeysForServers:
    """Tells other servers the devices of users of this one, and hands out their one-time keys.

    Args:
        device_keys: knows the devices.
        one_time_keys: hands out keys.
        sharing: whose may be asked for.
        server_name: of this server.
    """

    def __init__(
        self, *, device_keys: DeviceKeys, one_time_keys: OneTimeKeys, sharing: Sharing, server_name: str
    ) -> None:
        self._device_keys = device_keys
        self._one_time_keys = one_time_keys
        self._sharing = sharing
        self._server_name = server_name

    @endpoint(
        "GET", "/_matrix/federation/v1/user/devices/{user_id}", authentication=Authentication.SERVER,
        spec=f"{_SPEC}#get_matrixfederationv1userdevicesuserid",
    )  # fmt: skip
    async def get_devices(self, request: Request) -> Response:
        """Tell all devices of a user."""
        user_id = request.parameters["user_id"]
        self._check_own([user_id])
        if not await self._sharing.visible_to_server(request.origin, [user_id]):
            raise Forbidden("Your server shares no room with that user.")
        return json_response(await self._device_keys.list_for_server(user_id))

    @endpoint(
        "POST", "/_matrix/federation/v1/user/keys/query", authentication=Authentication.SERVER,
        body=KeysQuery, spec=f"{_SPEC}#post_matrixfederationv1userkeysquery",
    )  # fmt: skip
    async def query_keys(self, request: Request) -> Response:
        """Tell devices and keys of users."""
        asked = {user_id: ids or [] for user_id, ids in request.body.device_keys.items()}
        self._check_own(asked)
        return json_response(await self._device_keys.query_for_server(request.origin, asked))

    @endpoint(
        "POST", "/_matrix/federation/v1/user/keys/claim", authentication=Authentication.SERVER,
        body=KeysClaim, spec=f"{_SPEC}#post_matrixfederationv1userkeysclaim",
    )  # fmt: skip
    async def claim_keys(self, request: Request) -> Response:
        """Hand out one-time keys of devices."""
        asked = request.body.one_time_keys
        if sum(map(len, asked.values())) > DEVICES_PER_CLAIM_MAX:
            raise InvalidParam(f"Claim keys of at most {DEVICES_PER_CLAIM_MAX} devices in one request.")
        self._check_own(asked)
        visible = await self._sharing.visible_to_server(request.origin, list(asked))
        told: dict[str, Any] = await self._one_time_keys.claim_own({each: asked[each] for each in visible})
        return json_response({"one_time_keys": told})

    def _check_own(self, user_ids: list[str] | dict[str, Any]) -> None:
        for user_id in user_ids:
            try:
                server_name = parse_user_id(user_id).server_name
            except ValueError as error:
                raise InvalidParam(f"{error} This is none: {user_id[:80]!r}.") from None
            if server_name != self._server_name:
                raise InvalidParam(f"{user_id} is no user of this server.")
