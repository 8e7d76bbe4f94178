"""Sending messages to devices.

Spec: https://spec.matrix.org/v1.19/client-server-api/#send-to-device-messaging
"""

from homeserver.core.errors import MissingParam
from homeserver.e2ee.to_device import ToDevice
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["ToDeviceEndpoints"]


class ToDeviceEndpoints:
    """`PUT …/sendToDevice/{eventType}/{txnId}`."""

    def __init__(self, *, to_device: ToDevice) -> None:
        self._to_device = to_device

    @endpoint(
        "PUT",
        "/_matrix/client/v3/sendToDevice/{eventType}/{txnId}",
        rate_limit=RateLimit.TO_DEVICE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/"
        "#put_matrixclientv3sendtodeviceeventtypetxnid",
    )
    async def send_to_device(self, request: Request) -> Response:
        """Send a message to each of some devices."""
        if "messages" not in request.body:
            raise MissingParam("Give messages: user ID to device ID to content.")
        await self._to_device.send(
            request.requester, request.parameters["eventType"], request.parameters["txnId"],
            request.body["messages"],
        )  # fmt: skip
        return json_response({})
