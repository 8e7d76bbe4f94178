"""Other servers, for administrators: who does not answer, and who lacks what."""

from collections.abc import Callable
from typing import Any

from clients.admin.ports import DestinationReads, DestinationView
from homeserver.core.errors import BadJson, InvalidParam
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["AdminFederationEndpoints"]

_SPEC = "https://element-hq.github.io/synapse/latest/usage/administration/admin_api/federation.html"
_DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
PAGE_DEFAULT = 100
PAGE_MAX = 1_000
_OFFSET_MAX = 10**9
_ORDERS: dict[str, Callable[[DestinationView], Any]] = {
    "destination": lambda one: one.destination,
    "retry_last_ts": lambda one: one.retry_last_ms,
    "retry_interval": lambda one: one.retry_interval_ms,
    "failure_ts": lambda one: one.failure_ms or 0,
    "last_successful_stream_ordering": lambda one: one.sent_until or 0,
}


class AdminFederationEndpoints:
    """Lists other servers, and lets one be asked again at once.

    Args:
        destinations: knows them.
    """

    def __init__(self, *, destinations: DestinationReads) -> None:
        self._destinations = destinations

    @endpoint("GET", _DESTINATIONS, authentication=Authentication.ADMIN, spec=_SPEC)
    async def list_destinations(self, request: Request) -> Response:
        """List servers."""
        order_by = request.query_text("order_by", "destination")
        if order_by not in _ORDERS:
            raise InvalidParam(f"The query parameter order_by is one of {', '.join(_ORDERS)}.")
        named = request.query_text("destination", "").lower()
        found = [one for one in await self._destinations.all() if named in one.destination.lower()]
        found.sort(key=lambda one: one.destination)
        found.sort(key=_ORDERS[order_by], reverse=_is_backwards(request))
        return json_response(_page(request, "destinations", [_as_object(one) for one in found]))

    @endpoint("GET", _DESTINATIONS + "/{destination}", authentication=Authentication.ADMIN, spec=_SPEC)
    async def get_destination(self, request: Request) -> Response:
        """Tell about one server."""
        return json_response(_as_object(await self._destinations.one(request.parameters["destination"])))

    @endpoint("GET", _DESTINATIONS + "/{destination}/rooms", authentication=Authentication.ADMIN, spec=_SPEC)
    async def get_rooms(self, request: Request) -> Response:
        """List the rooms with users of a server."""
        destination = request.parameters["destination"]
        await self._destinations.one(destination)
        rooms = await self._destinations.rooms(destination)
        if _is_backwards(request):
            rooms.reverse()
        found = [{"room_id": room_id, "stream_ordering": number} for room_id, number in rooms]
        return json_response(_page(request, "rooms", found))

    @endpoint(
        "POST", _DESTINATIONS + "/{destination}/reset_connection", authentication=Authentication.ADMIN,
        spec=_SPEC,
    )  # fmt: skip
    async def reset_connection(self, request: Request) -> Response:
        """Let a server be asked again at once."""
        destination = request.parameters["destination"]
        await self._destinations.one(destination)
        if not self._destinations.reset(destination):
            raise BadJson("This server is not left alone, so there is nothing to reset.")
        return json_response({})


def _is_backwards(request: Request) -> bool:
    direction = request.query_text("dir", "f")
    if direction not in {"b", "f"}:
        raise InvalidParam("The query parameter dir must be b or f.")
    return direction == "b"


def _page(request: Request, name: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    offset = request.query_integer("from", 0, at_most=_OFFSET_MAX)
    end = offset + request.query_integer("limit", PAGE_DEFAULT, at_most=PAGE_MAX)
    answer: dict[str, Any] = {name: found[offset:end], "total": len(found)}
    if end < len(found):
        answer["next_token"] = str(end)
    return answer


def _as_object(one: DestinationView) -> dict[str, Any]:
    return {
        "destination": one.destination,
        "retry_last_ts": one.retry_last_ms,
        "retry_interval": one.retry_interval_ms,
        "failure_ts": one.failure_ms,
        "last_successful_stream_ordering": one.sent_until,
        "org.isthmus.waiting": {
            "events_queued": one.events_queued,
            "rooms_behind": one.rooms_behind,
            "device_messages": one.messages_waiting,
            "device_lists": one.users_changed,
        },
    }
