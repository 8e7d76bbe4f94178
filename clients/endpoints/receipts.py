"""Receipts and read markers.

Spec: https://spec.matrix.org/v1.19/client-server-api/#receipts
"""

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.ephemeral.receipts import FULLY_READ, READ, READ_PRIVATE, Receipts
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["ReceiptsEndpoints"]


class ReadMarkersBody(msgspec.Struct):
    """How far the user has read; what is left out stays as it is."""

    fully_read: str | None = msgspec.field(default=None, name=FULLY_READ)
    read: str | None = msgspec.field(default=None, name=READ)
    read_private: str | None = msgspec.field(default=None, name=READ_PRIVATE)


class ReceiptsEndpoints:
    """`…/receipt/{receiptType}/{eventId}` and `…/read_markers`."""

    def __init__(self, *, receipts: Receipts) -> None:
        self._receipts = receipts

    @endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/receipt/{receiptType}/{eventId}",
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/"
        "#post_matrixclientv3roomsroomidreceiptreceipttypeeventid",
    )
    async def set_receipt(self, request: Request) -> Response:
        """Say that one has read up to an event."""
        thread_id = request.body.get("thread_id")
        if thread_id is not None and not isinstance(thread_id, str):
            raise InvalidParam("thread_id must be a text that is not empty.")
        room_id, event_id = request.parameters["roomId"], request.parameters["eventId"]
        type_ = request.parameters["receiptType"]
        await self._receipts.set(request.requester, room_id, type_, event_id, thread_id)
        return json_response({})

    @endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/read_markers",
        rate_limit=RateLimit.MESSAGE,
        body=ReadMarkersBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidread_markers",
    )
    async def set_read_markers(self, request: Request) -> Response:
        """Say how far one has read everything, and set receipts with it."""
        body, room_id = request.body, request.parameters["roomId"]
        for type_, event_id in (
            (FULLY_READ, body.fully_read), (READ, body.read), (READ_PRIVATE, body.read_private)
        ):  # fmt: skip
            if event_id is not None:
                await self._receipts.set(request.requester, room_id, type_, event_id)
        return json_response({})
