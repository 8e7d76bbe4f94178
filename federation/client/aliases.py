"""The aliases of other servers.

Spec: https://spec.matrix.org/v1.19/server-server-api/#querying-for-information
"""

from federation.client.client import FederationClient
from homeserver.core.errors import Unavailable
from homeserver.core.identifiers import server_name_of

__all__ = ["SERVERS_MAX", "RemoteAliases"]

SERVERS_MAX = 50


class RemoteAliases:
    """Implements `homeserver.rooms.ports.RemoteDirectory`.

    Args:
        client: asks other servers.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def find_alias(self, alias: str) -> tuple[str, list[str]]:
        """Ask the server of an alias for its room; returns the room's ID and servers that are in it.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1querydirectory

        Raises:
            RemoteRefused: the alias stands for no room.
            Unavailable: the server does not answer.
        """
        answer = await self._client.request(
            server_name_of(alias) or "", "GET", "/_matrix/federation/v1/query/directory",
            query={"room_alias": alias},
        )  # fmt: skip
        room_id = answer.get("room_id") if isinstance(answer, dict) else None
        if not isinstance(room_id, str):
            raise Unavailable("The server of the alias answers without a room.")
        servers = answer.get("servers")
        named = servers[:SERVERS_MAX] if isinstance(servers, list) else []
        return room_id, [one for one in named if isinstance(one, str)]
