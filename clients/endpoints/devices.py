"""The devices of whoever asks."""

from typing import Any

import msgspec

from homeserver.accounts.devices import Devices
from homeserver.accounts.reauthentication import Reauthentication
from homeserver.accounts.seen_sessions import SeenSessions
from homeserver.core.errors import InvalidParam
from homeserver.core.requester import Requester
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from storage.tables.account_states import SeenRow
from storage.tables.devices import DeviceRow

__all__ = ["DeleteDeviceBody", "DeleteDevicesBody", "DeviceBody", "DevicesEndpoints"]

_DEVICES_PER_REQUEST_MAX = 1_000


class DeviceBody(msgspec.Struct):
    """What can be changed of a device."""

    display_name: str | msgspec.UnsetType | None = msgspec.UNSET


class DeleteDeviceBody(msgspec.Struct):
    """How the user shows that they may delete a device."""

    auth: dict[str, Any] | None = None


class DeleteDevicesBody(msgspec.Struct):
    """Which devices to delete, and how the user shows that they may."""

    devices: list[str]
    auth: dict[str, Any] | None = None


class DevicesEndpoints:
    """Lists, names and deletes devices."""

    def __init__(
        self, *, devices: Devices, reauthentication: Reauthentication, seen: SeenSessions
    ) -> None:
        self._devices = devices
        self._seen = seen
        self._reauthentication = reauthentication

    @endpoint(
        "GET",
        "/_matrix/client/v3/devices",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devices",
    )
    async def get_devices(self, request: Request) -> Response:
        """List the devices."""
        devices = await self._devices.of_user(request.requester.user_id)
        seen = {row.device_id: row for row in await self._seen.of_user(request.requester.user_id)}
        return json_response({"devices": [_as_object(one, seen.get(one.device_id)) for one in devices]})

    @endpoint(
        "GET",
        "/_matrix/client/v3/devices/{deviceId}",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3devicesdeviceid",
    )
    async def get_device(self, request: Request) -> Response:
        """Tell about one device."""
        device = await self._devices.find(request.requester.user_id, request.parameters["deviceId"])
        seen = {row.device_id: row for row in await self._seen.of_user(request.requester.user_id)}
        return json_response(_as_object(device, seen.get(device.device_id)))

    @endpoint(
        "PUT",
        "/_matrix/client/v3/devices/{deviceId}",
        rate_limit=RateLimit.PROFILE,
        body=DeviceBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3devicesdeviceid",
    )
    async def set_device(self, request: Request) -> Response:
        """Name a device."""
        user_id, device_id = request.requester.user_id, request.parameters["deviceId"]
        body: DeviceBody = request.body
        if isinstance(body.display_name, msgspec.UnsetType):
            await self._devices.find(user_id, device_id)
        else:
            await self._devices.rename(user_id, device_id, body.display_name)
        return json_response({})

    @endpoint(
        "DELETE",
        "/_matrix/client/v3/devices/{deviceId}",
        rate_limit=RateLimit.PROFILE,
        body=DeleteDeviceBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#delete_matrixclientv3devicesdeviceid",
    )
    async def delete_device(self, request: Request) -> Response:
        """Log a device out, after the user gave their password."""
        body: DeleteDeviceBody = request.body
        return await self._delete(request.requester, [request.parameters["deviceId"]], body.auth)

    @endpoint(
        "POST",
        "/_matrix/client/v3/delete_devices",
        rate_limit=RateLimit.PROFILE,
        body=DeleteDevicesBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3delete_devices",
    )
    async def delete_devices(self, request: Request) -> Response:
        """Log several devices out, after the user gave their password."""
        body: DeleteDevicesBody = request.body
        if len(body.devices) > _DEVICES_PER_REQUEST_MAX:
            raise InvalidParam(f"At most {_DEVICES_PER_REQUEST_MAX} devices can be deleted in one request.")
        return await self._delete(request.requester, body.devices, body.auth)

    async def _delete(
        self, requester: Requester, device_ids: list[str], auth: dict[str, Any] | None
    ) -> Response:
        await self._reauthentication.require(
            requester, "delete devices", auth, parameters=sorted(set(device_ids))
        )
        await self._devices.delete(requester.user_id, device_ids)
        return json_response({})


def _as_object(device: DeviceRow, seen: SeenRow | None) -> dict[str, Any]:
    # COMPAT: matrix-nio wants every property to be there, if only as null.
    return {
        "device_id": device.device_id,
        "display_name": device.display_name,
        "last_seen_ip": None if seen is None else seen.address,
        "last_seen_ts": None if seen is None else seen.seen_ms,
    }
