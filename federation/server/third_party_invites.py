"""Third-party invitations, turned into invitations of users.

Spec: https://spec.matrix.org/v1.19/server-server-api/#third-party-invites
"""

from typing import Any

import msgspec

from homeserver.core.content.member import third_party_signed_of
from homeserver.core.errors import InvalidParam, MatrixError
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response
from homeserver.rooms.member_templates import check_sender
from homeserver.rooms.third_party_invites import ThirdPartyInvites

__all__ = ["INVITES_MAX", "ThirdPartyInvitesEndpoints"]

INVITES_MAX = 50
"""Of one address that somebody has made theirs; what goes beyond is left as it is."""


class ExchangeBody(msgspec.Struct):
    """The invitation as the server of who is invited would have it."""

    type: str
    room_id: str
    sender: str
    state_key: str
    content: dict[str, Any]


class BoundInvite(msgspec.Struct):
    """An invitation of an address that is somebody's now."""

    room_id: str
    mxid: str
    sender: str
    signed: dict[str, Any]


class OnBindBody(msgspec.Struct):
    """Whose an address is, and the invitations that wait for it."""

    medium: str
    address: str
    mxid: str
    invites: list[BoundInvite]


class ThirdPartyInvitesEndpoints:
    """`…/exchange_third_party_invite` and `…/3pid/onbind`.

    Args:
        third_party_invites: redeems them.
        server_name: ours.
    """

    def __init__(self, *, third_party_invites: ThirdPartyInvites, server_name: str) -> None:
        self._third_party_invites = third_party_invites
        self._server_name = server_name

    @endpoint(
        "PUT",
        "/_matrix/federation/v1/exchange_third_party_invite/{roomId}",
        authentication=Authentication.SERVER,
        body=ExchangeBody,
        spec=(
            "https://spec.matrix.org/v1.19/server-server-api/"
            "#put_matrixfederationv1exchange_third_party_inviteroomid"
        ),
    )
    async def exchange_third_party_invite(self, request: Request) -> Response:
        """Turn an invitation of an address, made here, into one of a user of the asking server."""
        body, room_id = request.body, request.parameters["roomId"]
        signed = third_party_signed_of(body.content)
        is_invite = body.type == "m.room.member" and body.content.get("membership") == "invite"
        if body.room_id != room_id or not is_invite or signed is None:
            raise InvalidParam("The body is no third-party invitation to this room.")
        if signed.get("sender", body.sender) != body.sender:
            raise InvalidParam("The invitation is signed for another sender.")
        check_sender(request.origin, body.state_key)
        await self._third_party_invites.redeem_here(body.state_key, room_id, body.sender, dict(signed))
        return Response()

    @endpoint(
        "PUT",
        "/_matrix/federation/v1/3pid/onbind",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.INVITE,
        body=OnBindBody,
        spec="https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv13pidonbind",
    )
    async def on_bind(self, request: Request) -> Response:
        """Redeem the invitations of an address that is a user's of ours now, as an identity server says.

        Anybody may say so: what counts is the signature, which the rules of the room check.
        """
        body = request.body
        check_sender(self._server_name, body.mxid)
        for invite in body.invites[:INVITES_MAX]:
            if invite.mxid != body.mxid:
                continue
            try:
                await self._third_party_invites.redeem(
                    body.mxid, invite.room_id, invite.signed, sender=invite.sender
                )
            except MatrixError:
                continue  # each stands for itself
        return Response()
