"""Tells servers the events of rooms that they are in; what they may not see of these, as if it were redacted.

Spec: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
"""

from collections.abc import Sequence
from typing import Any

import orjson

from federation.server.room_access import RoomAccess, known_event_id
from homeserver.core.errors import BadJson, Forbidden, InvalidParam, MissingParam, NotFound
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_event_id
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_list, json_response
from homeserver.rooms.server_history import ServerHistory
from homeserver.rooms.server_sight import ServerSight
from homeserver.runtime.clock import Clock
from storage.tables.events import EventFlags, Events
from storage.tables.rooms import Rooms

__all__ = ["RoomHistoryForServers"]

BACKFILL_MAX = 100
MISSING_MAX = 100
MISSING_DEFAULT = 10
START_EVENTS_MAX = 50
_SPEC = "https://spec.matrix.org/v1.19/server-server-api/"
_V1 = "/_matrix/federation/v1"
_NOT_FOUND = "There is no such event here, or your server may not see it."


class RoomHistoryForServers:
    """`/event`, `/backfill`, `/get_missing_events` and `/timestamp_to_event`.

    Args:
        access: who may ask.
        history: the events.
        sight: what of them who may see.
        events: finds single ones.
        rooms: knows rooms.
        clock: answers are dated.
        server_name: of this server.
    """

    def __init__(
        self, *, access: RoomAccess, history: ServerHistory, sight: ServerSight, events: Events,
        rooms: Rooms, clock: Clock, server_name: str,
    ) -> None:  # fmt: skip
        self._access = access
        self._history = history
        self._sight = sight
        self._events = events
        self._rooms = rooms
        self._clock = clock
        self._server_name = server_name

    @endpoint(
        "GET", f"{_V1}/event/{{event_id}}", authentication=Authentication.SERVER,
        spec=f"{_SPEC}#get_matrixfederationv1eventeventid",
    )  # fmt: skip
    async def get_event(self, request: Request) -> Response:
        """Tell one event."""
        stored = await self._events.by_id(known_event_id(request.parameters["event_id"]))
        if stored is None or stored.flags & (EventFlags.REJECTED | EventFlags.OVER_LIFETIME):
            raise NotFound(_NOT_FOUND)
        rooms = await self._rooms.by_nids([stored.room_nid])
        try:
            await self._access.admit(request.origin, rooms[stored.room_nid].room_id)
        except Forbidden:
            raise NotFound(_NOT_FOUND) from None
        # States are told whole to whoever is in the room, and whoever asks for one event lacks it of a state.
        shown = [stored.event]
        if not stored.event.is_state:
            shown = await self._sight.shown(request.origin, stored.room_nid, [stored])
        return self._transaction(shown)

    @endpoint(
        "GET", f"{_V1}/backfill/{{room_id}}", authentication=Authentication.SERVER,
        spec=f"{_SPEC}#get_matrixfederationv1backfillroomid",
    )  # fmt: skip
    async def get_backfill(self, request: Request) -> Response:
        """Tell events and those before them."""
        start_ids = _event_ids(request.query.get("v") or [], "v")
        if not start_ids:
            raise MissingParam("Give the query parameter v.")
        limit = request.query_integer("limit", BACKFILL_MAX, at_most=BACKFILL_MAX)
        room = await self._access.admit(request.origin, request.parameters["room_id"])
        found = await self._history.back_from(room.room_nid, start_ids, limit)
        return self._transaction(await self._sight.shown(request.origin, room.room_nid, found))

    @endpoint(
        "POST", f"{_V1}/get_missing_events/{{room_id}}", authentication=Authentication.SERVER, body=dict,
        spec=f"{_SPEC}#post_matrixfederationv1get_missing_eventsroomid",
    )  # fmt: skip
    async def get_missing_events(self, request: Request) -> Response:
        """Tell events between those that a server has and later ones."""
        body: dict[str, Any] = request.body
        earliest = _event_ids(body.get("earliest_events"), "earliest_events")
        latest = _event_ids(body.get("latest_events"), "latest_events")
        limit = min(_integer(body, "limit", MISSING_DEFAULT), MISSING_MAX)
        depth_min = _integer(body, "min_depth", 0)
        room = await self._access.admit(request.origin, request.parameters["room_id"])
        found = await self._history.back_from(
            room.room_nid, latest, limit, without=earliest, includes_start=False, depth_min=depth_min
        )
        shown = await self._sight.shown(request.origin, room.room_nid, found[::-1])
        return Response(body=json_list(b'{"events":[', [event.canonical for event in shown], b"]}"))

    @endpoint(
        "GET", f"{_V1}/timestamp_to_event/{{room_id}}", authentication=Authentication.SERVER,
        spec=f"{_SPEC}#get_matrixfederationv1timestamp_to_eventroomid",
    )  # fmt: skip
    async def get_event_by_time(self, request: Request) -> Response:
        """Tell which event is closest to a time."""
        if "ts" not in request.query:
            raise MissingParam("Give the query parameter ts.")
        ts_ms, direction = request.query_integer("ts", 0), request.query_text("dir")
        if direction not in {"b", "f"}:
            raise InvalidParam("dir is b or f.")
        room = await self._access.admit(request.origin, request.parameters["room_id"])
        stored = await self._history.closest(room.room_nid, ts_ms, "b" if direction == "b" else "f")
        return json_response({
            "event_id": stored.event.event_id, "origin_server_ts": stored.event.origin_server_ts
        })  # fmt: skip

    def _transaction(self, events: Sequence[Event]) -> Response:
        head = orjson.dumps({"origin": self._server_name, "origin_server_ts": self._clock.now_ms()})
        return Response(
            body=json_list(head[:-1] + b',"pdus":[', [event.canonical for event in events], b"]}")
        )


def _event_ids(value: Any, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadJson(f"{name} is an array of event IDs.")
    if len(value) > START_EVENTS_MAX:
        raise InvalidParam(f"{name} has at most {START_EVENTS_MAX} event IDs.")
    for event_id in value:
        try:
            parse_event_id(event_id)
        except ValueError as error:
            raise InvalidParam(f"{name}: {error}") from None
    return value


def _integer(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name, default)
    if type(value) is not int or value < 0:
        raise BadJson(f"{name} is an integer that is not negative.")
    return value
