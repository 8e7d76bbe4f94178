"""The room directories of other servers, as far as their answers have the form that clients rely on.

Spec: https://spec.matrix.org/v1.19/server-server-api/#published-room-directory
"""

from typing import Any

from homeserver.core.errors import InvalidParam
from homeserver.core.identifiers import is_valid_server_name
from homeserver.rooms.directory import DirectoryPage, DirectoryRequest
from homeserver.rooms.ports import RemotePublicRooms
from homeserver.rooms.remote_summaries import summary_of

__all__ = ["RemotePublishedRooms"]

ROOMS_MAX = 500
TOKEN_CHARACTERS_MAX = 4_096


class RemotePublishedRooms:
    """Reads them.

    Args:
        remote: asks a server.
    """

    def __init__(self, remote: RemotePublicRooms) -> None:
        self._remote = remote

    async def page(self, server: str, request: DirectoryRequest) -> DirectoryPage:
        """Read a page.

        Raises:
            InvalidParam: that is no name of a server.
            RemoteRefused: the server does not tell.
            Unavailable: the server does not answer.
        """
        if not is_valid_server_name(server):
            raise InvalidParam("server must be the name of a server.")
        body: dict[str, Any] = {"limit": request.limit}
        if request.since is not None:
            body["since"] = request.since
        if request.network is not None:
            body["third_party_instance_id"] = request.network
        wanted: dict[str, Any] = {}
        if request.search_term:
            wanted["generic_search_term"] = request.search_term
        if request.room_types is not None:
            wanted["room_types"] = list(request.room_types)
        if wanted:
            body["filter"] = wanted
        answer = await self._remote.public_rooms(server, body)
        listed, total = answer.get("chunk"), answer.get("total_room_count_estimate")
        told = listed[:ROOMS_MAX] if isinstance(listed, list) else []
        chunk = [summary for each in told if (summary := summary_of(each)) is not None]
        return DirectoryPage(
            chunk, _token(answer.get("next_batch")), _token(answer.get("prev_batch")),
            total if type(total) is int and 0 <= total < 2**53 else len(chunk),
        )  # fmt: skip


def _token(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= TOKEN_CHARACTERS_MAX else None
