"""Reading a room's timeline.

Spec: https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room
"""

from homeserver.core.errors import InvalidParam
from homeserver.core.filters import parse_room_event_filter
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.rooms.history import PAGE_EVENTS_MAX, History, PageRequest, position_of
from homeserver.rooms.redacted_reads import RedactedReads

__all__ = ["HistoryEndpoints"]

_UNREDACTED = "fi.mau.msc2815.include_unredacted_content"

_LIMIT_DEFAULT = 10


class HistoryEndpoints:
    """`…/rooms/{roomId}/messages` and `…/event/{eventId}`."""

    def __init__(self, *, history: History, redacted_reads: RedactedReads) -> None:
        self._history = history
        self._redacted_reads = redacted_reads

    @endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/messages",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages",
    )
    async def get_messages(self, request: Request) -> Response:
        """Read a page of a room's timeline."""
        page = await self._history.page(
            request.requester, request.parameters["roomId"], _page_request(request)
        )
        body = b'{"chunk":[%b],"start":"%b"' % (b",".join(page.chunk), page.start.encode())
        if page.end is not None:
            body += b',"end":"%b"' % page.end.encode()
        if page.state:
            body += b',"state":[%b]' % b",".join(page.state)
        return Response(body=body + b"}")

    @endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/event/{eventId}",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomideventeventid",
    )
    async def get_event(self, request: Request) -> Response:
        """Read one event; with MSC2815, as it was before it was redacted."""
        reads = self._redacted_reads if request.query_boolean(_UNREDACTED, default=False) else self._history
        parameters = request.parameters
        return Response(
            body=await reads.event(request.requester, parameters["roomId"], parameters["eventId"])
        )


def _page_request(request: Request) -> PageRequest:
    direction = request.query_text("dir")
    if direction not in {"b", "f"}:
        raise InvalidParam("The query parameter dir must be b or f.")
    start, stop = request.query_maybe("from"), request.query_maybe("to")
    wanted = parse_room_event_filter(request.query_text("filter", "{}"))
    limit = request.query_integer("limit", _LIMIT_DEFAULT if wanted.limit is None else wanted.limit)
    if wanted.limit is not None:
        limit = min(limit, wanted.limit)
    return PageRequest(
        direction="b" if direction == "b" else "f",
        start=position_of(start) if start else None,
        stop=position_of(stop) if stop else None,
        limit=min(limit, PAGE_EVENTS_MAX),
        wanted=wanted,
    )
