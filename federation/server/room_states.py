"""Tells servers the state of rooms that they are in, and what allows events.

Spec: https://spec.matrix.org/v1.19/server-server-api/#retrieving-events
"""

from federation.server.room_access import RoomAccess, known_event_id
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_list, json_response
from homeserver.rooms.server_states import ServerStates

__all__ = ["RoomStatesForServers"]

_SPEC = "https://spec.matrix.org/v1.19/server-server-api/"
_TIMEOUT_MS = 120_000


class RoomStatesForServers:
    """`/state`, `/state_ids` and `/event_auth`.

    Args:
        access: who may ask.
        states: the states.
    """

    def __init__(self, *, access: RoomAccess, states: ServerStates) -> None:
        self._access = access
        self._states = states

    @endpoint(
        "GET", "/_matrix/federation/v1/state/{room_id}", authentication=Authentication.SERVER,
        spec=f"{_SPEC}#get_matrixfederationv1stateroomid", timeout_ms_max=_TIMEOUT_MS,
    )  # fmt: skip
    async def get_state(self, request: Request) -> Response:
        """Tell the state before an event, with what allows it."""
        event_id = known_event_id(request.query_text("event_id"))
        room = await self._access.admit(request.origin, request.parameters["room_id"])
        async with self._states.turns:
            state = await self._states.before(room.room_nid, event_id)
            chain = await self._states.pdus(room.room_nid, state.auth_chain)
            head = json_list(b'{"auth_chain":[', chain, b'],"pdus":[')
            return Response(body=json_list(head, await self._states.pdus(room.room_nid, state.state), b"]}"))

    @endpoint(
        "GET", "/_matrix/federation/v1/state_ids/{room_id}", authentication=Authentication.SERVER,
        spec=f"{_SPEC}#get_matrixfederationv1state_idsroomid", timeout_ms_max=_TIMEOUT_MS,
    )  # fmt: skip
    async def get_state_ids(self, request: Request) -> Response:
        """Name the events of the state before an event, and of what allows it."""
        event_id = known_event_id(request.query_text("event_id"))
        room = await self._access.admit(request.origin, request.parameters["room_id"])
        async with self._states.turns:
            state = await self._states.before(room.room_nid, event_id)
            return json_response({
                "pdu_ids": await self._states.ids(room.room_nid, state.state),
                "auth_chain_ids": await self._states.ids(room.room_nid, state.auth_chain),
            })  # fmt: skip

    @endpoint(
        "GET", "/_matrix/federation/v1/event_auth/{room_id}/{event_id}", authentication=Authentication.SERVER,
        spec=f"{_SPEC}#get_matrixfederationv1event_authroomideventid", timeout_ms_max=_TIMEOUT_MS,
    )  # fmt: skip
    async def get_event_auth(self, request: Request) -> Response:
        """Tell what allows an event."""
        event_id = known_event_id(request.parameters["event_id"])
        room = await self._access.admit(request.origin, request.parameters["room_id"])
        async with self._states.turns:
            chain = await self._states.auth_chain(room.room_nid, event_id)
            pdus = await self._states.pdus(room.room_nid, chain)
            return Response(body=json_list(b'{"auth_chain":[', pdus, b"]}"))
