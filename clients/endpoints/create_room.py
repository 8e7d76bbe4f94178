"""Creating rooms.

Spec: https://spec.matrix.org/v1.19/client-server-api/#creation
"""

from typing import Any

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.create_room import RoomCreation
from homeserver.rooms.new_room import InitialState, RoomWishes
from homeserver.rooms.third_party_invites import no_identity_server

__all__ = ["CreateRoomBody", "CreateRoomEndpoints"]

INITIAL_STATE_EVENTS_MAX = 200


class ThirdPartyBody(msgspec.Struct):
    """Somebody known by an address, and the identity server to ask about it."""

    id_server: str
    id_access_token: str
    medium: str
    address: str


class InitialStateBody(msgspec.Struct):
    """A state event that the room begins with."""

    type: str
    content: dict[str, Any]
    state_key: str = ""


class CreateRoomBody(msgspec.Struct):
    """What a client wants of a new room."""

    room_version: str | None = None
    preset: str | None = None
    visibility: str | None = None
    room_alias_name: str | None = None
    name: str | None = None
    topic: str | None = None
    invite: list[str] | None = None
    invite_3pid: list[ThirdPartyBody] | None = None
    is_direct: bool | None = None
    creation_content: dict[str, Any] | None = None
    initial_state: list[InitialStateBody] | None = None
    power_level_content_override: dict[str, Any] | None = None


class CreateRoomEndpoints:
    """`…/createRoom`."""

    def __init__(self, *, creation: RoomCreation) -> None:
        self._creation = creation

    @endpoint(
        "POST",
        "/_matrix/client/v3/createRoom",
        rate_limit=RateLimit.ROOM_CREATION,
        body=CreateRoomBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom",
    )
    async def create_room(self, request: Request) -> Response:
        """Make a room."""
        room_id = await self._creation.create(request.requester, _wishes(request.body))
        return json_response({"room_id": room_id})


def _wishes(body: CreateRoomBody) -> RoomWishes:
    if body.invite_3pid:
        raise no_identity_server()
    if len(body.initial_state or ()) > INITIAL_STATE_EVENTS_MAX:
        raise InvalidParam(f"initial_state holds at most {INITIAL_STATE_EVENTS_MAX} events.")
    return RoomWishes(
        room_version=body.room_version,
        preset=body.preset,
        visibility=body.visibility or "private",
        room_alias_name=body.room_alias_name,
        name=body.name,
        topic=body.topic,
        invite=tuple(body.invite or ()),
        is_direct=bool(body.is_direct),
        creation_content=body.creation_content or {},
        initial_state=tuple(
            InitialState(one.type, one.content, one.state_key) for one in body.initial_state or ()
        ),
        power_level_content_override=body.power_level_content_override or {},
    )
