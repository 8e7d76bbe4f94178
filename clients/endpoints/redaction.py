"""Redacting events.

Spec: https://spec.matrix.org/v1.19/client-server-api/#redactions
"""

import msgspec

from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.sending import Sending

__all__ = ["RedactionBody", "RedactionEndpoints"]


class RedactionBody(msgspec.Struct):
    """Why."""

    reason: str | None = None


class RedactionEndpoints:
    """`…/rooms/{roomId}/redact/{eventId}/{txnId}`."""

    def __init__(self, *, sending: Sending) -> None:
        self._sending = sending

    @endpoint(
        "PUT",
        "/_matrix/client/v3/rooms/{roomId}/redact/{eventId}/{txnId}",
        rate_limit=RateLimit.MESSAGE,
        body=RedactionBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidredacteventidtxnid",
    )
    async def redact_event(self, request: Request) -> Response:
        """Redact an event, once for each transaction ID."""
        named = request.parameters
        content = {} if request.body.reason is None else {"reason": request.body.reason}
        event_id = await self._sending.redact(
            request.requester, named["roomId"], named["eventId"], content, named["txnId"]
        )
        return json_response({"event_id": event_id})
