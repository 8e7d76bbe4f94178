"""Joining, inviting, leaving, kicking, banning, unbanning and forgetting.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-membership
"""

from typing import Any

import msgspec

from homeserver.core.errors import InvalidParam, MissingParam
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.joining import Joining
from homeserver.rooms.membership import Membership
from homeserver.rooms.third_party_invites import ThirdPartyInvites

__all__ = [
    "JOIN_TIMEOUT_MS", "JoinBody", "MembershipEndpoints", "ReasonBody", "UserBody", "servers_named",
]  # fmt: skip

JOIN_TIMEOUT_MS = 300_000
"""Large rooms of other servers take a while. The join goes on after that, and may be asked for again."""

_ROOM = "/_matrix/client/v3/rooms/{roomId}"
_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomid"


def servers_named(request: Request) -> list[str]:
    """Read which servers may be in the room, going by the client; `server_name` is how older ones say it."""
    return [*request.query.get("via", ()), *request.query.get("server_name", ())]


class ReasonBody(msgspec.Struct):
    """Why."""

    reason: str | None = None


class JoinBody(ReasonBody):
    """Why, and the proof of a third-party invitation."""

    third_party_signed: dict[str, Any] | None = None


class UserBody(msgspec.Struct):
    """Who, and why."""

    user_id: str
    reason: str | None = None


class InviteBody(msgspec.Struct):
    """Who, and why; or an address that an identity server knows."""

    user_id: str | None = None
    reason: str | None = None
    id_server: str | None = None
    id_access_token: str | None = None
    medium: str | None = None
    address: str | None = None


class MembershipEndpoints:
    """What changes who is in a room."""

    def __init__(
        self, *, joining: Joining, membership: Membership, third_party_invites: ThirdPartyInvites
    ) -> None:
        self._joining = joining
        self._membership = membership
        self._third_party_invites = third_party_invites

    @endpoint(
        "POST",
        "/_matrix/client/v3/join/{roomIdOrAlias}",
        rate_limit=RateLimit.JOIN,
        timeout_ms_max=JOIN_TIMEOUT_MS,
        body=JoinBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3joinroomidoralias",
    )
    async def join_room(self, request: Request) -> Response:
        """Join a room by its ID or an alias; if it is not here, by way of the servers that are named."""
        return await self._join(request, request.parameters["roomIdOrAlias"])

    @endpoint(
        "POST", f"{_ROOM}/join", rate_limit=RateLimit.JOIN, body=JoinBody, spec=f"{_SPEC}join",
        timeout_ms_max=JOIN_TIMEOUT_MS,
    )  # fmt: skip
    async def join_room_by_id(self, request: Request) -> Response:
        """Join a room by its ID."""
        room = request.parameters["roomId"]
        if not room.startswith("!"):
            raise InvalidParam("Give a room ID, which begins with !.")
        return await self._join(request, room)

    async def _join(self, request: Request, room: str) -> Response:
        body = request.body
        room_id = await self._joining.join(
            request.requester, room, body.reason, third_party_signed=body.third_party_signed,
            via=servers_named(request),
        )  # fmt: skip
        return json_response({"room_id": room_id})

    @endpoint(
        "POST", f"{_ROOM}/invite", rate_limit=RateLimit.INVITE, body=InviteBody, spec=f"{_SPEC}invite"
    )  # fmt: skip
    async def invite_user(self, request: Request) -> Response:
        """Invite a user, or somebody by their address."""
        body, room_id = request.body, request.parameters["roomId"]
        if body.user_id is not None:
            await self._membership.invite(request.requester, room_id, body.user_id, body.reason)
            return json_response({})
        if None in {body.id_server, body.id_access_token, body.medium, body.address}:
            raise MissingParam("Give user_id; or id_server, id_access_token, medium and address.")
        await self._third_party_invites.invite(request.requester.user_id, room_id)
        return json_response({})

    @endpoint(
        "POST", f"{_ROOM}/leave", rate_limit=RateLimit.JOIN, body=ReasonBody, spec=f"{_SPEC}leave"
    )  # fmt: skip
    async def leave_room(self, request: Request) -> Response:
        """Leave a room, or refuse an invitation."""
        await self._membership.leave(request.requester, request.parameters["roomId"], request.body.reason)
        return json_response({})

    @endpoint(
        "POST", f"{_ROOM}/kick", rate_limit=RateLimit.MESSAGE, body=UserBody, spec=f"{_SPEC}kick"
    )  # fmt: skip
    async def kick_user(self, request: Request) -> Response:
        """Remove a user from a room."""
        body, room_id = request.body, request.parameters["roomId"]
        await self._membership.kick(request.requester, room_id, body.user_id, body.reason)
        return json_response({})

    @endpoint(
        "POST", f"{_ROOM}/ban", rate_limit=RateLimit.MESSAGE, body=UserBody, spec=f"{_SPEC}ban"
    )  # fmt: skip
    async def ban_user(self, request: Request) -> Response:
        """Ban a user from a room."""
        body, room_id = request.body, request.parameters["roomId"]
        await self._membership.ban(request.requester, room_id, body.user_id, body.reason)
        return json_response({})

    @endpoint(
        "POST", f"{_ROOM}/unban", rate_limit=RateLimit.MESSAGE, body=UserBody, spec=f"{_SPEC}unban"
    )  # fmt: skip
    async def unban_user(self, request: Request) -> Response:
        """Lift a ban."""
        body, room_id = request.body, request.parameters["roomId"]
        await self._membership.unban(request.requester, room_id, body.user_id, body.reason)
        return json_response({})

    @endpoint(
        "POST", f"{_ROOM}/forget", rate_limit=RateLimit.JOIN, body=ReasonBody, spec=f"{_SPEC}forget"
    )  # fmt: skip
    async def forget_room(self, request: Request) -> Response:
        """Hear no more of a room that was left."""
        await self._membership.forget(request.requester, request.parameters["roomId"])
        return json_response({})
