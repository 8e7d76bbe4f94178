"""Invitations of users of this server by those of others.

Spec: https://spec.matrix.org/v1.19/server-server-api/#inviting-to-a-room
"""

from typing import Any

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.core.room_versions import EventIdFormat, rules_for
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.received_invites import ReceivedInvites

__all__ = ["InvitesEndpoints"]

_VERSION_OF_V1 = "1"


class InviteBody(msgspec.Struct):
    """The invitation, and what is told of the room."""

    room_version: str
    event: dict[str, Any]
    invite_room_state: Any = None


class InvitesEndpoints:
    """`…/invite`.

    Args:
        received_invites: accepts them, or does not.
    """

    def __init__(self, *, received_invites: ReceivedInvites) -> None:
        self._received_invites = received_invites

    @endpoint(
        "PUT",
        "/_matrix/federation/v2/invite/{roomId}/{eventId}",
        authentication=Authentication.SERVER,
        body=InviteBody,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv2inviteroomideventid",
    )
    async def invite(self, request: Request) -> Response:
        """Accept an invitation; answers with the event, signed by this server too."""
        body = request.body
        signed = await self._received_invites.receive(
            request.origin, request.parameters["roomId"], request.parameters["eventId"], body.event,
            version=body.room_version, told=body.invite_room_state,
        )  # fmt: skip
        return json_response({"event": signed})

    @endpoint(
        "PUT",
        "/_matrix/federation/v1/invite/{roomId}/{eventId}",
        authentication=Authentication.SERVER,
        body=dict,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1inviteroomideventid",
    )
    async def invite_v1(self, request: Request) -> Response:
        """Accept an invitation of a server that knows the oldest room versions only."""
        pdu = request.body
        rules = rules_for(_VERSION_OF_V1)
        assert rules is not None
        assert rules.event_id_format is EventIdFormat.DOMAIN
        unsigned = pdu.get("unsigned")
        if unsigned is not None and not isinstance(unsigned, dict):
            raise InvalidParam("unsigned must be an object.")
        signed = await self._received_invites.receive(
            request.origin, request.parameters["roomId"], request.parameters["eventId"], pdu,
            version=_VERSION_OF_V1, told=None if unsigned is None else unsigned.get("invite_room_state"),
        )  # fmt: skip
        return json_response([200, {"event": signed}])
