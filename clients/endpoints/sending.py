"""Sending message events.

Spec: https://spec.matrix.org/v1.19/client-server-api/#sending-events-to-a-room
"""

from clients.endpoints.delayed_events import delay_of, sticky_ms_of
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.commands import Draft
from homeserver.rooms.delayed_events import DelayedEvents
from homeserver.rooms.sending import Sending

__all__ = ["SendingEndpoints"]


class SendingEndpoints:
    """`…/rooms/{roomId}/send/{eventType}/{txnId}`."""

    def __init__(self, *, sending: Sending, delayed_events: DelayedEvents) -> None:
        self._sending = sending
        self._delayed_events = delayed_events

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
        delay_ms, sticky_ms = delay_of(request), sticky_ms_of(request)
        if delay_ms is not None:
            delay_id = await self._delayed_events.schedule(
                request.requester, named["roomId"],
                Draft(named["eventType"], request.requester.user_id, request.body, sticky_ms=sticky_ms),
                delay_ms, transaction_id=named["txnId"],
            )  # fmt: skip
            return json_response({"delay_id": delay_id})
        event_id = await self._sending.send(
            request.requester, named["roomId"], named["eventType"], request.body, named["txnId"],
            sticky_ms=sticky_ms,
        )  # fmt: skip
        # Event IDs hold nothing that JSON would escape.
        return Response(body=b'{"event_id":"%b"}' % event_id.encode())
