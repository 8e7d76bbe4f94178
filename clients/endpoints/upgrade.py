"""Upgrading rooms.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
"""

import msgspec

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.upgrade import RoomUpgrades

__all__ = ["UpgradeBody", "UpgradeEndpoints"]

ADDITIONAL_CREATORS_MAX = 100


class UpgradeBody(msgspec.Struct):
    """The room version to upgrade to."""

    new_version: str
    additional_creators: list[str] | None = None


class UpgradeEndpoints:
    """`…/rooms/{roomId}/upgrade`."""

    def __init__(self, *, upgrades: RoomUpgrades) -> None:
        self._upgrades = upgrades

    @endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/upgrade",
        rate_limit=RateLimit.ROOM_CREATION,
        body=UpgradeBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade",
        # A room with thousands of bans takes its time; whoever asks again goes on from there.
        timeout_ms_max=300_000,
    )
    async def upgrade_room(self, request: Request) -> Response:
        """Replace a room by one of another version."""
        body = request.body
        creators = tuple(body.additional_creators or ())
        if len(creators) > ADDITIONAL_CREATORS_MAX:
            raise InvalidParam(f"A room has at most {ADDITIONAL_CREATORS_MAX} additional creators.")
        room_id = await self._upgrades.upgrade(
            request.requester, request.parameters["roomId"], body.new_version, creators
        )
        return json_response({"replacement_room": room_id})
