"""What surrounds an event, and which event is closest to a time.

Spec: https://spec.matrix.org/v1.19/client-server-api/#event-context
"""

from homeserver.core.errors import InvalidParam, MissingParam
from homeserver.core.filters import parse_room_event_filter
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.context import Contexts
from homeserver.rooms.event_times import EventTimes

__all__ = ["ContextEndpoints"]

_LIMIT_DEFAULT = 10
_LIMIT_MAX = 100


class ContextEndpoints:
    """`…/context/{eventId}` and `…/timestamp_to_event`."""

    def __init__(self, *, contexts: Contexts, event_times: EventTimes) -> None:
        self._contexts = contexts
        self._event_times = event_times

    @endpoint(
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/context/{eventId}",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid",
    )
    async def get_context(self, request: Request) -> Response:
        """Read an event, what is just before and after it, and the state then."""
        wanted = parse_room_event_filter(request.query_text("filter", "{}"))
        limit = request.query_integer("limit", _LIMIT_DEFAULT, at_most=_LIMIT_MAX)
        if wanted.limit is not None:
            limit = min(limit, wanted.limit)
        parameters = request.parameters
        context = await self._contexts.around(
            request.requester, parameters["roomId"], parameters["eventId"], limit=limit, wanted=wanted
        )
        return Response(
            body=b'{"start":"%b","end":"%b","event":%b,"events_before":[%b],"events_after":[%b],"state":[%b]}'
            % (
                context.start.encode(), context.end.encode(), context.event,
                b",".join(context.events_before), b",".join(context.events_after), b",".join(context.state),
            )
        )  # fmt: skip

    @endpoint(
        "GET",
        "/_matrix/client/v1/rooms/{roomId}/timestamp_to_event",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event",
    )
    async def get_event_by_timestamp(self, request: Request) -> Response:
        """Tell which event is closest to a time."""
        if request.query_maybe("ts") is None:
            raise MissingParam("Give the query parameter ts, in milliseconds since 1970.")
        direction = request.query_text("dir")
        if direction not in {"b", "f"}:
            raise InvalidParam("The query parameter dir must be b or f.")
        event_id, sent_ms = await self._event_times.closest(
            request.requester,
            request.parameters["roomId"],
            request.query_integer("ts", 0),
            "b" if direction == "b" else "f",
        )
        return json_response({"event_id": event_id, "origin_server_ts": sent_ms})
