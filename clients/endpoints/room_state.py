"""Reading and setting a room's state.

Spec: https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room
"""

from clients.endpoints.delayed_events import delay_of
from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_list, json_response
from homeserver.rooms.commands import Draft
from homeserver.rooms.delayed_events import DelayedEvents
from homeserver.rooms.sending import Sending
from homeserver.rooms.state_reads import StateReads

__all__ = ["RoomStateEndpoints"]

_STATE = "/_matrix/client/v3/rooms/{roomId}/state"
# An empty state key may be left out, with or without the slash before it.
_PATHS = (f"{_STATE}/{{eventType}}/{{stateKey}}", f"{_STATE}/{{eventType}}", f"{_STATE}/{{eventType}}/")


class RoomStateEndpoints:
    """`…/rooms/{roomId}/state` and below."""

    def __init__(
        self, *, sending: Sending, state_reads: StateReads, delayed_events: DelayedEvents
    ) -> None:
        self._sending = sending
        self._delayed_events = delayed_events
        self._state_reads = state_reads

    @endpoint(
        "GET",
        _STATE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstate",
    )
    async def get_room_state(self, request: Request) -> Response:
        """Read every state event."""
        events = await self._state_reads.all_of(request.requester, request.parameters["roomId"])
        return Response(body=json_list(b"[", events, b"]"))

    @endpoint(
        "GET",
        *_PATHS,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidstateeventtypestatekey",
    )
    async def get_state_event(self, request: Request) -> Response:
        """Read the content of a state event, or with `format=event` the whole of it."""
        form = request.query_text("format", "content")
        if form not in {"content", "event"}:
            raise InvalidParam("The query parameter format must be content or event.")
        named, requester = request.parameters, request.requester
        stored = await self._state_reads.one(
            requester, named["roomId"], named["eventType"], named.get("stateKey", "")
        )
        if form == "event":
            return Response(body=await self._state_reads.encoded(requester, named["roomId"], stored))
        return json_response(stored.event.content)

    @endpoint(
        "PUT",
        *_PATHS,
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidstateeventtypestatekey",
    )
    async def set_state_event(self, request: Request) -> Response:
        """Set a state event."""
        named = request.parameters
        state_key, delay_ms = named.get("stateKey", ""), delay_of(request)
        if delay_ms is not None:
            delay_id = await self._delayed_events.schedule(
                request.requester, named["roomId"],
                Draft(named["eventType"], request.requester.user_id, request.body, state_key), delay_ms,
            )  # fmt: skip
            return json_response({"delay_id": delay_id})
        event_id = await self._sending.set_state(
            request.requester, named["roomId"], named["eventType"], state_key, request.body
        )
        return json_response({"event_id": event_id})
