"""Which rooms one shares with another user.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mutual-rooms
"""

from typing import Any

from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.mutual_rooms import MutualRooms

__all__ = ["MutualRoomsEndpoints"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mutual_rooms"


class MutualRoomsEndpoints:
    """`…/mutual_rooms`."""

    def __init__(self, *, mutual_rooms: MutualRooms) -> None:
        self._mutual_rooms = mutual_rooms

    @endpoint("GET", "/_matrix/client/v1/mutual_rooms", spec=_SPEC)
    async def get_mutual_rooms(self, request: Request) -> Response:
        """Read a page of the rooms that the user shares with somebody."""
        return await self._page(request, "from", "next_batch")

    # COMPAT: where it was before v1.19 of the specification; the tokens had other names there.
    @endpoint(
        "GET",
        "/_matrix/client/unstable/uk.half-shot.msc2666/user/mutual_rooms",
        spec=_SPEC,
    )
    async def get_mutual_rooms_unstable(self, request: Request) -> Response:
        """Read the same, with the names that it had before."""
        return await self._page(request, "batch_token", "next_batch_token")

    async def _page(self, request: Request, token_name: str, next_name: str) -> Response:
        page = await self._mutual_rooms.page(
            request.requester, request.query_text("user_id"), request.query_maybe(token_name) or None
        )
        answer: dict[str, Any] = {"joined": page.joined, "count": page.count}
        if page.next_batch is not None:
            answer[next_name] = page.next_batch
        return json_response(answer)
