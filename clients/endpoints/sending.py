"""Sending message events.

Spec: https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room
"""

from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.rooms.sending import Sending

__all__ = ["SendingEndpoints"]


class SendingEndpoints:
    """`…/rooms/{roomId}/send/{eventType}/{txnId}`."""

    def __init__(self, *, sending: Sending) -> None:
        self._sending = sending

    @endpoint(
        "PUT",
        "/_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}",
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidsendeventtypetxnid",
    )
    async def send_event(self, request: Request) -> Response:
        """Send a message event, once for each transaction ID."""
        named = request.parameters
        event_id = await self._sending.send(
            request.requester, named["roomId"], named["eventType"], request.body, named["txnId"]
        )
        # Event IDs hold nothing that JSON would escape.
        return Response(body=b'{"event_id":"%b"}' % event_id.encode())
