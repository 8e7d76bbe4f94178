"""Calls for what other servers know of users, directories and spaces.

Spec: https://spec.matrix.org/v1.19/server-server-api/#querying-for-information,
https://spec.matrix.org/v1.19/server-server-api/#published-room-directory and
https://spec.matrix.org/v1.19/server-server-api/#spaces
"""

from collections.abc import Mapping
from typing import Any

from federation.client.client import FederationClient
from federation.client.paths import path
from homeserver.core.errors import Unavailable

__all__ = ["FederationQueries"]

PROFILE_BODY_BYTES_MAX = 131_072
ROOMS_BODY_BYTES_MAX = 4_194_304
TIMEOUT_MS = 20_000


class FederationQueries:
    """Asks other servers; implements the ports `RemoteProfiles`, `RemotePublicRooms` and `RemoteSpaces`.

    What they answer is an object, whose properties are unchecked. Every method raises:
        RemoteRefused: the server says no.
        Unavailable: the server does not answer, or with what is no object.

    Args:
        client: asks.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def profile(self, server: str, user_id: str) -> Mapping[str, Any]:
        """Ask for the profile of a user."""
        answer = await self._client.request(
            server, "GET", "/_matrix/federation/v1/query/profile", query={"user_id": user_id},
            timeout_ms=TIMEOUT_MS, body_bytes_max=PROFILE_BODY_BYTES_MAX,
        )  # fmt: skip
        return _object(server, answer)

    async def public_rooms(self, server: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask for a page of the room directory, with the body that the specification has for it."""
        answer = await self._client.request(
            server, "POST", "/_matrix/federation/v1/publicRooms", content=request,
            timeout_ms=TIMEOUT_MS, body_bytes_max=ROOMS_BODY_BYTES_MAX,
        )  # fmt: skip
        return _object(server, answer)

    async def hierarchy(self, server: str, room_id: str, *, suggested_only: bool) -> Mapping[str, Any]:
        """Ask for a room, and for its children if it is a space."""
        answer = await self._client.request(
            server, "GET", path("/_matrix/federation/v1/hierarchy/{}", room_id),
            query={"suggested_only": "true" if suggested_only else "false"},
            timeout_ms=TIMEOUT_MS, body_bytes_max=ROOMS_BODY_BYTES_MAX,
        )  # fmt: skip
        return _object(server, answer)


def _object(server: str, answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise Unavailable(f"{server} answered with what is no JSON object.")
    return answer
