"""Dehydrated devices (MSC3814), under the name that clients in use call them by."""

from typing import Any

from homeserver.core.errors import BadJson, InvalidParam, MissingParam
from homeserver.e2ee.dehydrated_devices import EVENTS_MAX, Dehydrated, DehydratedDevices
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["DehydratedDeviceEndpoints"]

_DEVICE = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device"
_EVENTS = _DEVICE + "/{deviceId}/events"
_SPEC = "https://github.com/matrix-org/matrix-spec-proposals/pull/3814"


class DehydratedDeviceEndpoints:
    """`…/dehydrated_device`, and its events."""

    def __init__(self, *, dehydrated_devices: DehydratedDevices) -> None:
        self._devices = dehydrated_devices

    @endpoint("PUT", _DEVICE, rate_limit=RateLimit.PROFILE, body=dict, spec=_SPEC)
    async def set_device(self, request: Request) -> Response:
        """Make the dehydrated device of the user, in place of the one before."""
        body = request.body
        name, device_id = body.get("initial_device_display_name"), body.get("device_id")
        if device_id is None:
            raise MissingParam("Give device_id.")
        if not isinstance(device_id, str) or not (name is None or isinstance(name, str)):
            raise BadJson("device_id and initial_device_display_name must be texts.")
        made = Dehydrated(
            device_id=device_id, device_data=_object(body, "device_data", is_required=True),
            display_name=name, device_keys=_object(body, "device_keys", is_required=True),
            one_time_keys=_object(body, "one_time_keys"), fallback_keys=_object(body, "fallback_keys"),
        )  # fmt: skip
        await self._devices.set(request.requester.user_id, made)
        return json_response({"device_id": device_id})

    @endpoint("GET", _DEVICE, spec=_SPEC)
    async def get_device(self, request: Request) -> Response:
        """Tell about the dehydrated device of the user."""
        device_id, data = await self._devices.get(request.requester.user_id)
        head = json_response({"device_id": device_id}).body[:-1]
        return Response(body=b'%b,"device_data":%b}' % (head, data))

    @endpoint("DELETE", _DEVICE, rate_limit=RateLimit.PROFILE, spec=_SPEC)
    async def delete_device(self, request: Request) -> Response:
        """Delete the dehydrated device of the user."""
        return json_response({"device_id": await self._devices.delete(request.requester.user_id)})

    @endpoint("GET", _EVENTS, spec=_SPEC)
    async def get_events(self, request: Request) -> Response:
        """Read messages to it, and where to go on while there are more."""
        events, end, has_more = await self._events(request, request.query_maybe("from"))
        return _answer(events, end if has_more else None)

    # COMPAT: the older form, in which clients go on until there are no events.
    @endpoint("POST", _EVENTS, body=dict, spec=_SPEC)
    async def read_events(self, request: Request) -> Response:
        """Read messages to it, and where to go on."""
        start = request.body.get("next_batch")
        if start is not None and not isinstance(start, str):
            raise InvalidParam("next_batch must be one that this server gave.")
        events, end, _ = await self._events(request, start)
        return _answer(events, end)

    async def _events(self, request: Request, start: str | None) -> tuple[list[bytes], str, bool]:
        return await self._devices.events(
            request.requester.user_id, request.parameters["deviceId"], after=start,
            limit=request.query_integer("limit", EVENTS_MAX, at_least=1, at_most=EVENTS_MAX),
        )  # fmt: skip


def _object(body: dict[str, Any], name: str, *, is_required: bool = False) -> dict[str, Any]:
    value = body.get(name)
    if value is None and not is_required:
        return {}
    if not isinstance(value, dict):
        raise BadJson(f"{name} must be a JSON object.")
    return value


def _answer(events: list[bytes], next_batch: str | None) -> Response:
    token = b"" if next_batch is None else b',"next_batch":"%b"' % next_batch.encode()
    return Response(body=b'{"events":[%b]%b}' % (b",".join(events), token))
